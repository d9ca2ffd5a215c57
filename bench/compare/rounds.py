"""Two revisions at the same work, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import reference
from bench.cells import Cell, Round
from bench.peers.comparison import batches_for, inherited_environment
from bench.peers.contention import Others
from bench.peers.wire import Side

TURN = 0.25  # seconds of a side's turn, or one batch where that takes longer
PATIENCE = 4  # times the seconds of a cell, at most, where other programs take the CPUs
FEWEST = 32  # rounds of a cell: with half as many samples even a hundred cells leave the test a chance


@dataclass(frozen=True)
class Turns:
    """One round: what each side did while the other waited, and what was seen of the machine."""

    a: Round
    b: Round
    reference_seconds: float  # of bench.reference's work, before
    others: float  # share of the CPUs that other programs took, 0 to 1


def measure(
    cell: Cell,
    folders: Sequence[Path],
    data: str | None,
    seconds: float,
    plant: float = 0.0,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Turns]:
    """Measure ``cell`` with the packages in both ``folders`` in turns, for ``seconds`` once both are warm.

    Time that other programs take from it is made up for. What the second side takes counts as longer by the share
    ``plant``, to try out what is found: a delay would be far longer than wanted on a busy machine. ``progress`` hears
    how much is done, 0 to 1. Raises :class:`bench.peers.wire.SideFailed`.
    """
    with ExitStack() as stack:
        sides = []
        for folder in folders:
            request = {"cell": asdict(cell), "data": data}
            side = Side("bench.compare.side", request, inherited_environment(), folder=folder)
            sides.append(stack.enter_context(side))
        for side in sides:
            side.ready()
        turn = min(TURN, seconds / FEWEST / 2)
        batches = max([batches_for(side, turn) for side in sides])
        turns: list[Turns] = []
        start, worked = time.perf_counter(), 0.0
        while len(turns) % 2 or (share := _share(turns, time.perf_counter() - start, worked, seconds)) < 1:
            progress(share)
            began = time.perf_counter()
            done = _round(sides, batches, backwards=len(turns) % 2 == 1)
            turns.append(replace(done, b=_prolonged(done.b, plant)))
            worked += (time.perf_counter() - began) * (1 - turns[-1].others)
        return turns


def _share(turns: Sequence[Turns], passed: float, worked: float, seconds: float) -> float:
    """How much of a measurement is done."""
    return min(len(turns) / FEWEST, max(worked / seconds, passed / seconds / PATIENCE))


def _round(sides: Sequence[Side], batches: int, backwards: bool) -> Turns:
    took = reference.seconds()
    done = [_turn(side, batches) for side in (reversed(sides) if backwards else sides)]
    (a, beside_a), (b, beside_b) = reversed(done) if backwards else done
    return Turns(a, b, took, (beside_a + beside_b) / 2)


def _prolonged(done: Round, share: float) -> Round:
    return replace(done, seconds=done.seconds * (1 + share), cpu_seconds=done.cpu_seconds * (1 + share))


def _turn(side: Side, batches: int) -> tuple[Round, float]:
    others = Others(side.pid)
    return Round(**side.run(batches)), others.share()
