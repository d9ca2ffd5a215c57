"""Two revisions that do the same work in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import reference
from bench.cells import Cell, Round
from bench.contention import Others
from bench.sides.environment import inherited_environment
from bench.sides.wire import Side, batches_for

PAIRS = 10  # of processes
FEWEST_PAIRS = 3  # the fewest that say anything about how pairs differ
TURN = 0.04  # seconds of a side's turn, or one batch if that takes longer: every turn decides anew where threads run,
# and beside what, so on a busy machine many short turns say more than a few long ones
PATIENCE = 4  # times the seconds of a cell, at most, if other programs take the CPUs
FEWEST = 12  # rounds of a pair, at least


@dataclass(frozen=True)
class Turns:
    """One round: what each side did while the other waited, and the state of the machine."""

    a: Round
    b: Round
    reference_seconds: float  # of bench.reference, before the round
    others: float  # share of the CPUs that other programs took since the pair's first round, 0 to 1


Pair = tuple[Turns, ...]  # an even number of rounds, with one process per side


def measure(
    cell: Cell,
    folders: Sequence[Path],
    data: str | None,
    seconds: float,
    pairs: int = PAIRS,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Pair]:
    """Measure ``cell`` with the packages in both ``folders`` in turns, for ``seconds`` divided among ``pairs``.

    Every pair of processes starts afresh, the sides taking turns to start first, and counts from when both are warm.
    Time lost to other programs is made up for. ``progress`` receives the share that is done, 0 to 1. Raises
    :class:`bench.sides.wire.SideFailed`.
    """
    request = {"cell": asdict(cell), "data": data}
    measured: list[Pair] = []
    for number in range(pairs):
        with ExitStack() as stack:
            environment = inherited_environment()
            sides = [Side("bench.sides.revision", request, environment, folder=folder) for folder in folders]
            for side in reversed(sides) if number % 2 else sides:
                stack.enter_context(side)
            for side in sides:
                side.ready()
            rounds = _take_turns(sides, seconds / pairs, lambda share: progress((len(measured) + share) / pairs))
            measured.append(tuple(rounds))
    return measured


def _take_turns(sides: Sequence[Side], seconds: float, progress: Callable[[float], None]) -> list[Turns]:
    turn = min(TURN, seconds / FEWEST / 2)
    batches = max([batches_for(side, turn) for side in sides])
    turns: list[Turns] = []
    start, others = time.perf_counter(), Others(os.getpid(), *(side.pid for side in sides))
    while len(turns) % 2 or (share := _share(turns, time.perf_counter() - start, seconds)) < 1:
        progress(share)
        turns.append(_round(sides, batches, others, backwards=len(turns) % 2 == 1))
    return turns


def _share(turns: Sequence[Turns], passed: float, seconds: float) -> float:
    """Return the share of a pair's measurement that is done."""
    wanted = seconds / max(1 - turns[-1].others, 1 / PATIENCE) if turns else seconds
    return min(len(turns) / FEWEST, passed / wanted)


def _round(sides: Sequence[Side], batches: int, others: Others, backwards: bool) -> Turns:
    took = reference.seconds()
    done = [Round(**side.run(batches)) for side in (reversed(sides) if backwards else sides)]
    a, b = reversed(done) if backwards else done
    return Turns(a, b, took, others.share())
