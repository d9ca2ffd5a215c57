"""What becomes of a cell in a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.cells import Cell, Measurement
from bench.compare.rounds import Turns
from bench.compare.statistics import FASTER, NOISY, SLOWER, Effect, Verdict, independent, judge, paired


@dataclass(frozen=True)
class Row:
    """A cell with its verdict, or with the reason why there is none."""

    cell: Cell
    speeds: tuple[float, float] | None = None  # images a second of A and of B, medians
    wall: Effect | None = None  # by the time that passed
    cpu: Effect | None = None  # by the time that the CPUs worked; None where that says nothing: on GPUs, of files
    verdict: Verdict | None = None
    turns: tuple[Turns, ...] = ()  # of revisions
    error: str | None = None

    @property
    def is_slower(self) -> bool:
        return self.verdict is not None and self.verdict.word == SLOWER


def of_turns(cell: Cell, turns: Sequence[Turns], threshold: float, level: float) -> Row:
    """Two revisions that took turns; ``level`` is the share of false alarms that this cell may have."""
    speeds = [np.median([getattr(each, side).images / getattr(each, side).seconds for each in turns]) for side in "ab"]
    wall = paired(turns, "seconds")
    cpu = None if "gpu" in cell.context else paired(turns, "cpu_seconds")  # a GPU's work is not in it
    return Row(cell, tuple(map(float, speeds)), wall, cpu, judge(wall, cpu, threshold, level), tuple(turns))


def found_again(compare: Callable[[], Row]) -> Row:
    """What ``compare`` finds with processes that it starts; a difference only if it finds the same with others.

    Of a revision compared with itself, single pairs of processes differed significantly more often than the test allows
    for: rounds of one pair are not independent.
    """
    row = compare()
    if row.verdict.word in (FASTER, SLOWER) and compare().verdict.word != row.verdict.word:
        return replace(row, verdict=Verdict(NOISY))
    return row


def of_measurements(cell: Cell, a: Measurement, b: Measurement, threshold: float, level: float) -> Row:
    """The same cell of two runs."""
    wall = independent(a, b)
    return Row(cell, (a.images_per_second, b.images_per_second), wall, None, judge(wall, None, threshold, level))
