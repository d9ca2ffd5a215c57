"""Results as tables for people, and as CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from tabulate import tabulate, tabulate_formats

from bench.cells import Outcome
from bench.environment import summary

SCHEMA = 1
_ENOUGH_FOR_P95 = 20  # samples; with fewer it is little more than their maximum
FORMATS = sorted({*tabulate_formats, "csv", "json"})

_COLUMNS = (
    "model", "context", "dtype", "batch", "phase", "images/s", "spread", "ms/batch p50", "p95",
    "epoch [s]", "epoch is", "peak MiB", "GFLOP/s",
)  # fmt: skip
_LEFT = {"model", "context", "dtype", "phase", "epoch is"}


def render(outcomes: Sequence[Outcome], environment: dict, style: str) -> str:
    """The table in one of :data:`FORMATS`, for people with what they need to read it."""
    if style == "json":
        return json.dumps(document(outcomes, environment), indent=1)
    if style == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([(*_COLUMNS, "data", "error"), *map(_exact, outcomes)])
        return text.getvalue().rstrip("\n")
    alignment = ["left" if column in _LEFT else "right" for column in _COLUMNS]
    table = tabulate(
        [_rounded(outcome) for outcome in outcomes], _COLUMNS, tablefmt=style, disable_numparse=True, colalign=alignment
    )
    return "\n".join([table, "", *_notes(outcomes), summary(environment, _data(outcomes))])


def document(outcomes: Sequence[Outcome], environment: dict) -> dict:
    """Raw samples and environment, as ``--json`` writes them."""
    return {"schema": SCHEMA, "environment": environment, "results": [outcome.to_json() for outcome in outcomes]}


def _rounded(outcome: Outcome) -> tuple[str, ...]:
    cell, result = outcome.cell, outcome.measurement
    facts = (cell.model, cell.context, cell.dtype, str(cell.batch_size), cell.phase)
    if result is None:
        return (*facts, "failed", *[""] * (len(_COLUMNS) - len(facts) - 1))
    return (
        *facts,
        f"{result.images_per_second:,.0f}",
        f"{result.spread:.1%}" + ("" if result.steady else "*"),
        f"{result.batch_milliseconds(50):,.2f}",
        f"{result.batch_milliseconds(95):,.2f}" + ("" if len(result.batch_seconds) >= _ENOUGH_FOR_P95 else "~"),
        f"{result.epoch_seconds:,.1f}",
        "measured" if result.epoch_run_seconds is not None else "extrapolated",
        f"{result.memory_mib:,.0f}",
        f"{result.gflops:,.1f}",
    )


def _exact(outcome: Outcome) -> tuple:
    cell, result = outcome.cell, outcome.measurement
    facts = (cell.model, cell.context, cell.dtype, cell.batch_size, cell.phase)
    if result is None:
        return (*facts, *[""] * (len(_COLUMNS) - len(facts)), "", outcome.error)
    return (
        *facts,
        result.images_per_second,
        result.spread,
        result.batch_milliseconds(50),
        result.batch_milliseconds(95),
        result.epoch_seconds,
        "measured" if result.epoch_run_seconds is not None else "extrapolated",
        result.memory_mib,
        result.gflops,
        result.data,
        "",
    )


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    notes = [f"failed: {outcome.cell}: {outcome.error}" for outcome in outcomes if outcome.measurement is None]
    measured = [outcome.measurement for outcome in outcomes if outcome.measurement is not None]
    if not all(result.steady for result in measured):
        notes.append("* still unsteady after its warm-up: other work on this machine, most likely")
    if any(len(result.batch_seconds) < _ENOUGH_FOR_P95 for result in measured):
        notes.append(f"~ from fewer than {_ENOUGH_FOR_P95} batches")
    if measured:
        notes.append(
            "images/s: median of 5 or more rounds; spread: their interquartile range; ms/batch: each batch waited for\n"
            f"epoch: {measured[0].epoch_images:,} images; peak MiB: of the whole process, MXNet and data included"
            + (
                "; on a GPU: in use at the end\n"
                if any("gpu" in outcome.cell.context for outcome in outcomes)
                else "\n"
            )
            + "GFLOP/s: convolutions and dense layers, forward and in training backward\n"
        )
    return notes


def _data(outcomes: Sequence[Outcome]) -> str:
    return next((outcome.measurement.data for outcome in outcomes if outcome.measurement is not None), "none")
