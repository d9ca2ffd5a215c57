"""What becomes of a cell in a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.cells import Cell, Measurement, Round
from bench.compare.rounds import Pair, Turns
from bench.compare.statistics import SLOWER, Effect, Verdict, independent, judge, paired


@dataclass(frozen=True)
class ComparisonRow:
    """A cell with its verdict, or with the reason why there is none."""

    cell: Cell
    speeds: tuple[float, float] | None = None  # images a second of A and of B, medians
    wall: Effect | None = None  # by the time that passed
    cpu: Effect | None = None  # by the time that the CPUs worked; None where that says nothing: on GPUs, of files
    verdict: Verdict | None = None
    pairs: tuple[Pair, ...] = ()  # of revisions
    error: str | None = None

    @property
    def is_slower(self) -> bool:
        """Whether the verdict says that B is slower, by whichever clock."""
        return self.verdict is not None and self.verdict.word == SLOWER


def of_pairs(cell: Cell, pairs: Sequence[Pair], threshold: float, level: float) -> ComparisonRow:
    """Two revisions that took turns; ``level`` is the share of false alarms that this cell may have."""
    rounds = [[getattr(turns, side) for pair in pairs for turns in pair] for side in "ab"]
    a, b = (float(np.median([each.images / each.seconds for each in side])) for side in rounds)
    wall = paired(pairs, "seconds")
    assert wall is not None  # time is measured in every round
    cpu = None if "gpu" in cell.context else paired(pairs, "cpu_seconds")  # a GPU's work is not in it
    return ComparisonRow(cell, (a, b), wall, cpu, judge(wall, cpu, threshold, level), tuple(pairs))


def slowed(row: ComparisonRow, share: float, threshold: float, level: float) -> ComparisonRow:
    """What would have become of revisions that took turns, had all that B did taken longer by ``share``.

    Planted in the figures: a delay in B's process would last far longer than asked for on a busy machine.
    """
    if row.error is not None:
        return row
    pairs = [tuple(_slowed(turns, 1 + share) for turns in pair) for pair in row.pairs]
    return of_pairs(row.cell, pairs, threshold, level)


def _slowed(turns: Turns, factor: float) -> Turns:
    b = turns.b
    return replace(turns, b=Round(b.images, b.seconds * factor, b.cpu_seconds and b.cpu_seconds * factor))


def of_measurements(cell: Cell, a: Measurement, b: Measurement, threshold: float, level: float) -> ComparisonRow:
    """The same cell of two runs."""
    wall = independent(a, b)
    return ComparisonRow(
        cell, (a.images_per_second, b.images_per_second), wall, None, judge(wall, None, threshold, level)
    )
