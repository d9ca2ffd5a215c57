"""Comparisons as a table, with what a reader needs to know about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from bench.compare.revisions import Revision
from bench.compare.rows import ComparisonRow
from bench.compare.statistics import Effect
from bench.environment import summary
from bench.results import Run

_COLUMNS = ("cell", "A [images/s]", "B", "B/A", "95% interval", "p", "in CPU time", "95% interval", "verdict")
_ALIGNMENT = ("left", "right", "right", "right", "left", "right", "right", "left", "left")
_EXPECTED = {"date", "revision", "load_average"}  # they differ between any two runs


def of_revisions(rows: Sequence[ComparisonRow], a: Revision, b: Revision, threshold: float) -> str:
    """Render a table of cells whose revisions took turns."""
    turns = [turns for row in rows for pair in row.pairs for turns in pair]
    notes = [f"A is {a}, B is {b}; they took turns, A B B A"]
    if turns:
        low, middle, high = np.percentile([each.reference_seconds for each in turns], (5, 50, 95)) * 1000
        notes.append(
            f"{max(len(row.pairs) for row in rows)} pairs of processes a cell; meanwhile other programs took "
            f"{np.median([each.others for each in turns]):.0%} of the CPUs, and the reference workload "
            f"{middle:.0f} ms, 90% of the time {low:.0f} to {high:.0f} ms"
        )
    return _render(rows, [*notes, *_meaning(threshold)])


def of_calibration(slowdowns: Mapping[float, Sequence[ComparisonRow]], comparisons: int) -> str:
    """Render how often each cell got which verdict, as measured (a slowdown of 0) and with slowdowns planted."""
    counts = Counter(
        (str(row.cell), share, str(row.verdict or "failed")) for share, rows in slowdowns.items() for row in rows
    )
    counted = [
        (cell, f"{share * 100:.3g}%" if share else "", verdict, f"{count} of {comparisons}")
        for (cell, share, verdict), count in sorted(counts.items())
    ]
    headers = ("cell", "B slower by", "verdict", "times")
    return "\n" + tabulate(counted, headers, disable_numparse=True, colalign=("left", "right", "left", "left"))


def of_files(rows: Sequence[ComparisonRow], a: Run, b: Run, normalised: bool, threshold: float) -> str:
    """Render a table of cells that were measured in two runs."""
    notes = [
        "two runs at two times: B/A, but not images/s, is relative to the reference workload that was timed in both"
        if normalised
        else "two runs at two times, and no reference workload in both that would tell a slow machine from slow code"
    ]
    for name in dict.fromkeys((*a.environment, *b.environment)):
        before, after = a.environment.get(name), b.environment.get(name)
        if before != after and name not in _EXPECTED:
            details = "" if isinstance(before or after, (dict, list)) else f": {before} in A, {after} in B"
            notes.append(f"{name} differs{details}")
    sources = [f"{name}: {summary(run.environment, _data(run))}" for name, run in (("A", a), ("B", b))]
    return _render(rows, [*notes, *_meaning(threshold), *sources])


def _render(rows: Sequence[ComparisonRow], notes: Sequence[str]) -> str:
    table = tabulate([_shown(row) for row in rows], _COLUMNS, disable_numparse=True, colalign=_ALIGNMENT)
    failed = [f"failed: {row.cell}: {row.error}" for row in rows if row.error is not None]
    return "\n".join([table, "", *failed, *notes])


def _shown(row: ComparisonRow) -> tuple[str, ...]:
    if row.error is not None:
        return (str(row.cell), *[""] * (len(_COLUMNS) - 2), "failed")
    assert row.speeds is not None and row.wall is not None  # as there is no error
    a, b = row.speeds
    figures = (f"{a:,.0f}", f"{b:,.0f}", *_effect(row.wall), f"{row.wall.p:.1g}", *_effect(row.cpu))
    return (str(row.cell), *figures, str(row.verdict))


def _effect(effect: Effect | None) -> tuple[str, str]:
    if effect is None:
        return "", ""
    low, high = effect.interval
    return f"{effect.ratio:.3f}×", f"{low:.3f} to {high:.3f}"


def _meaning(threshold: float) -> list[str]:
    return [
        f"B/A: how many times as fast B is; faster, slower: significant and at least {threshold:.1%}; same: the "
        "interval is within that; in CPU time: where other programs made the time that passed too noisy"
    ]


def _data(run: Run) -> str:
    return next((each.data for each in run.measured.values()), "none")
