"""Comparisons as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np
from tabulate import tabulate

from bench.contention import BUSY
from bench.environment import summary
from bench.peers.comparison import Rounds
from bench.peers.results import Result, TargetRow
from bench.peers.works import OURS, Work

SCHEMA = 1
_PACKAGES = ("torch", "onnxruntime", "openvino", "onnx")
_ROWS = ("work", "against", "images/s here", "there", "ratio", "95% interval", "target", "verdict")
_SIDES = ("work", "side", "images/s", "spread", "ms/batch", "others", "check")


def render(
    rows: Sequence[TargetRow],
    results: Mapping[Work, Sequence[Result]],
    plan: Rounds,
    captured: dict[str, Any],
    data: str,
) -> str:
    """Render the targets, then every side with its speed and check, then what a reader needs to know about both."""
    sides = [_side(work, result) for work, group in results.items() for result in group]
    return "\n\n".join(
        [
            _matrix(rows),
            _table(_ROWS, [_row(row) for row in rows], "llrrrlrl"),
            *_choices(rows),
            _table(_SIDES, sides, "llrrrrl"),
            f"{plan.rounds} rounds, in which all sides of a piece of work take turns; images/s: median of the rounds\n"
            "ratio: median of the rounds' ratios, with its bootstrap interval; spread: interquartile range\n"
            "others: what other programs took of the CPUs; a machine is called busy where that is above "
            f"{BUSY:.0%}, as libraries then slow down unequally\n"
            "check: against plain float32 Gluon; largest difference of logits, same digits, mean of the first losses",
            summary(captured, data) + "\n" + (", ".join(f"{k} {v}" for k, v in packages().items()) or "no peers"),
        ]
    )


def document(
    rows: Sequence[TargetRow],
    results: Mapping[Work, Sequence[Result]],
    plan: Rounds,
    captured: dict[str, Any],
    data: str,
) -> dict[str, Any]:
    """Return raw rounds, checks and environment, as ``--json`` writes them."""
    return {
        "schema": SCHEMA,
        "environment": captured,
        "packages": packages(),
        "data": data,
        "plan": asdict(plan),
        "targets": [_facts(row) for row in rows],
        "works": [{"work": asdict(work), "sides": [asdict(each) for each in group]} for work, group in results.items()],
    }


def packages() -> dict[str, str]:
    """Return the versions of the installed peers."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], alignment: str) -> str:
    words = {"l": "left", "r": "right"}
    return tabulate(
        rows, headers, disable_numparse=True, colalign=[words[each] for each in alignment] if rows else None
    )


def _matrix(rows: Sequence[TargetRow]) -> str:
    """Render the ratios by model; what misses its target is marked."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        target, work = row.target, row.target.work
        batch = "one image" if work.waited else "" if work.phase == "train" else f" {work.batch_size}"
        dtype = "" if target.ours == "*" else f", {target.ours}"
        column = f"{work.phase}{', ' * work.waited}{batch}{dtype}\n{target.against}"
        ratio = f"{row.comparison.ratio:.2f}×" if row.comparison else "failed"
        missed = " missed" if row.verdict.startswith("missed") else ""
        cells.setdefault(work.model, {})[column] = ratio + missed
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = [(model, *(row.get(column, "") for column in columns)) for model, row in cells.items()]
    return _table(("times as fast as", *columns), lines, "l" + "r" * len(columns))


def _row(row: TargetRow) -> tuple[str, ...]:
    target, comparison = row.target, row.comparison
    aim = "" if target.at_least is None else f"{target.at_least:.1f}×"
    figures = ("", "", "", "")
    if comparison is not None:
        low, high = comparison.interval()
        here, there = np.median(comparison.ours), np.median(comparison.theirs)
        figures = (f"{here:,.0f}", f"{there:,.0f}", f"{comparison.ratio:.2f}×", f"{low:.2f} to {high:.2f}")
    return (str(target), target.against, *figures, aim, row.verdict)


def _choices(rows: Sequence[TargetRow]) -> list[str]:
    """Which sides were the best ones, where there were several to choose from."""
    pairs = dict.fromkeys(
        f"{row.target}: {row.ours.configuration.name} against {row.theirs.configuration.name}"
        for row in rows
        if row.comparison and row.ours and row.theirs
    )
    return ["\n".join(pairs)] if pairs else []


def _side(work: Work, result: Result) -> tuple[str, ...]:
    if result.error is not None:
        return (str(work), result.configuration.name, "", "", "", "", result.error)
    batch = 1000 * work.batch_size / result.median
    figures = (f"{result.median:,.0f}", f"{result.spread:.0%}", f"{batch:,.2f}", f"{np.median(result.others):.0%}")
    assert result.check is not None  # set for every side that was measured
    check = str(result.check) if result.problem is None else f"FAILED: {result.check.failure} ({result.check})"
    return (str(work), result.configuration.name, *figures, check)


def _facts(row: TargetRow) -> dict[str, Any]:
    comparison = row.comparison
    return {
        "work": str(row.target),
        "against": row.target.against,
        "at_least": row.target.at_least,
        "stretch": row.target.stretch,
        "ours": row.ours.configuration.name if row.ours else None,
        "theirs": row.theirs.configuration.name if row.theirs else None,
        "ratio": comparison.ratio if comparison else None,
        "interval": list(comparison.interval()) if comparison else None,
        "verdict": row.verdict,
    }


def ours_failed(results: Mapping[Work, Sequence[Result]]) -> bool:
    """Whether a side of this project did not run, or did other work than asked."""
    return any(result.problem for group in results.values() for result in group if OURS in result.configuration.name)
