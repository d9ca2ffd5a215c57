"""The result of a cell in a comparison."""

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
    speeds: tuple[float, float] | None = None  # median images per second of A and of B
    wall: Effect | None = None  # by wall-clock time
    cpu: Effect | None = None  # by CPU time; None where that says nothing: on GPUs, and for files
    verdict: Verdict | None = None
    pairs: tuple[Pair, ...] = ()  # for revisions only
    error: str | None = None

    @property
    def is_slower(self) -> bool:
        """Whether the verdict says that B is slower, by either clock."""
        return self.verdict is not None and self.verdict.word == SLOWER


def of_pairs(cell: Cell, pairs: Sequence[Pair], threshold: float, level: float) -> ComparisonRow:
    """Compare two revisions that took turns; ``level`` is the rate of false alarms that this cell may have."""
    rounds = [[getattr(turns, side) for pair in pairs for turns in pair] for side in "ab"]
    a, b = (float(np.median([each.images / each.seconds for each in side])) for side in rounds)
    wall = paired(pairs, "seconds")
    assert wall is not None  # time is measured in every round
    cpu = None if "gpu" in cell.context else paired(pairs, "cpu_seconds")  # it excludes a GPU's work
    return ComparisonRow(cell, (a, b), wall, cpu, judge(wall, cpu, threshold, level), tuple(pairs))


def slowed(row: ComparisonRow, share: float, threshold: float, level: float) -> ComparisonRow:
    """Return the row as it would be if everything B did had taken longer by ``share``.

    Only the figures are changed: a real delay in B's process would last far longer than requested on a busy machine.
    """
    if row.error is not None:
        return row
    pairs = [tuple(_slowed(turns, 1 + share) for turns in pair) for pair in row.pairs]
    return of_pairs(row.cell, pairs, threshold, level)


def _slowed(turns: Turns, factor: float) -> Turns:
    b = turns.b
    return replace(turns, b=Round(b.images, b.seconds * factor, b.cpu_seconds and b.cpu_seconds * factor))


def of_measurements(cell: Cell, a: Measurement, b: Measurement, threshold: float, level: float) -> ComparisonRow:
    """Compare the same cell of two runs."""
    wall = independent(a, b)
    return ComparisonRow(
        cell, (a.images_per_second, b.images_per_second), wall, None, judge(wall, None, threshold, level)
    )
