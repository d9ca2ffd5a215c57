"""Results as tables for people, and as CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Sequence
from itertools import compress
from typing import Any

from tabulate import tabulate, tabulate_formats

from bench.cells import ARITHMETIC, MEMORY, Ceiling, Latency, Measurement, Outcome, Profile, peak
from bench.contention import BUSY
from bench.environment import summary
from bench.results import Run, as_json, document

FORMATS = sorted({*tabulate_formats, "csv", "json"})
BARE = {style for style in FORMATS if style in ("html", "unsafehtml", "tsv") or style.startswith("latex")}
_ENOUGH_FOR_P95 = 20  # samples; with fewer, the p95 is little more than their maximum

COLUMNS = (
    "model", "context", "dtype", "batch", "phase", "images/s", "spread", "95% interval", "ms/batch p50", "p95",
    "epoch [s]", "epoch is", "peak MiB", "GFLOP/s", "of peak",
)  # fmt: skip
_LEFT = {"model", "context", "dtype", "phase", "epoch is"}


def render(
    outcomes: Sequence[Outcome],
    ceilings: Sequence[Ceiling],
    environment: dict[str, Any],
    style: str,
    latencies: Sequence[Latency] = (),
    profiles: Sequence[Profile] = (),
    left_out: Sequence[str] = (),
) -> str:
    """Render the table in one of :data:`FORMATS`; for people, together with what they need to read it.

    Formats that programs read hold the table alone, so those of :data:`BARE` lack the :func:`remarks`. JSON holds
    everything; only there does the result include latencies and profiles, which :mod:`bench.details` renders otherwise.
    """
    if style == "json":
        held = (tuple(ceilings), tuple(outcomes), tuple(latencies), tuple(profiles), tuple(left_out))
        run = Run(environment, *held)
        return as_json(document(run))
    columns = (*COLUMNS, "peak GFLOP/s", "data", "error") if style == "csv" else COLUMNS
    asked_for = any(outcome.measurement and outcome.measurement.wanted is not None for outcome in outcomes)
    kept = [asked_for or column != "95% interval" for column in columns]
    row = exact if style == "csv" else rounded
    header = list(compress(columns, kept))
    rows = [list(compress(row(each, ceilings), kept)) for each in outcomes]
    if style == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        return text.getvalue().rstrip("\n")
    table = lay_out(rows, header, _LEFT, style)
    return table if style in BARE else f"{table}\n\n{remarks(outcomes, ceilings, environment, left_out)}"


def lay_out(rows: Sequence[Sequence[object]], columns: Sequence[str], left: Container[str], style: str) -> str:
    """Format a table in one of tabulate's formats, with the columns ``left`` aligned left and the others right."""
    return tabulate(
        rows,
        columns,
        tablefmt="latex" if style == "latex_raw" else style,  # in raw LaTeX, a percent sign would start a comment
        disable_numparse=True,
        colalign=["left" if column in left else "right" for column in columns],
    )


def remarks(
    outcomes: Sequence[Outcome], ceilings: Sequence[Ceiling], environment: dict[str, Any], left_out: Sequence[str] = ()
) -> str:
    """What belongs below the table: failures, what the columns mean, and where the figures come from."""
    notes = [*omitted(left_out), *_notes(outcomes, ceilings)]
    return "\n".join([*notes, summary(environment, _data(outcomes)), *_at_most(ceilings)])


def omitted(left_out: Sequence[str]) -> list[str]:
    """Return a line on what the time limit left out, if anything."""
    return [f"left out for lack of time: {'; '.join(left_out)}"] if left_out else []


def rounded(outcome: Outcome, ceilings: Sequence[Ceiling]) -> tuple[str, ...]:
    """Return the outcome as a row of :data:`COLUMNS`, for people."""
    cell, result = outcome.cell, outcome.measurement
    facts = (cell.model, cell.context, cell.dtype, str(cell.batch_size), cell.phase)
    if result is None:
        return (*facts, "failed", *[""] * (len(COLUMNS) - len(facts) - 1))
    limit = peak(cell, ceilings)
    return (
        *facts,
        f"{result.images_per_second:,.0f}",
        f"{result.spread:.1%}" + ("" if result.steady else "*"),
        f"{result.interval:.1%}" + ("" if _is_narrow(result) else "!"),
        f"{result.batch_milliseconds(50):,.2f}",
        f"{result.batch_milliseconds(95):,.2f}" + ("" if len(result.batch_seconds) >= _ENOUGH_FOR_P95 else "~"),
        f"{result.epoch_seconds:,.1f}",
        "measured" if result.epoch_run_seconds is not None else "extrapolated",
        f"{result.memory_mib:,.0f}",
        f"{result.gflops:,.1f}",
        f"{result.gflops / limit:.1%}" if limit else "",
    )


def exact(outcome: Outcome, ceilings: Sequence[Ceiling]) -> tuple[object, ...]:
    """Return the same row in full precision, followed by the peak in GFLOP/s, the images' source and the error."""
    cell, result = outcome.cell, outcome.measurement
    facts = (cell.model, cell.context, cell.dtype, cell.batch_size, cell.phase)
    if result is None:
        return (*facts, *[""] * (len(COLUMNS) - len(facts)), "", "", outcome.error)
    limit = peak(cell, ceilings)
    return (
        *facts,
        result.images_per_second,
        result.spread,
        result.interval,
        result.batch_milliseconds(50),
        result.batch_milliseconds(95),
        result.epoch_seconds,
        "measured" if result.epoch_run_seconds is not None else "extrapolated",
        result.memory_mib,
        result.gflops,
        result.gflops / limit if limit else "",
        limit or "",
        result.data,
        "",
    )


def _notes(outcomes: Sequence[Outcome], ceilings: Sequence[Ceiling]) -> list[str]:
    notes = [f"failed: {outcome.cell}: {outcome.error}" for outcome in outcomes if outcome.measurement is None]
    measured = [outcome.measurement for outcome in outcomes if outcome.measurement is not None]
    if not all(result.steady for result in measured):
        notes.append("* still unsteady after its warm-up: other work on this machine, most likely")
    if not all(map(_is_narrow, measured)):
        notes.append("! the time limit came before the interval reached the requested width")
    if any(len(result.batch_seconds) < _ENOUGH_FOR_P95 for result in measured):
        notes.append(f"~ from fewer than {_ENOUGH_FOR_P95} batches")
    if measured:
        notes.append(
            "images/s: median of 5 or more rounds; spread: their interquartile range; ms/batch: each batch waited for\n"
            + (
                "95% interval: of that median, its width as a share of it\n"
                if any(result.wanted is not None for result in measured)
                else ""
            )
            + f"epoch: {measured[0].epoch_images:,} images; peak MiB: of the whole process, MXNet and data included"
            + (
                "; on a GPU: in use at the end\n"
                if any("gpu" in outcome.cell.context for outcome in outcomes)
                else "\n"
            )
            + "GFLOP/s: convolutions and dense layers, forward and in training backward"
            + (
                "\nof peak: GFLOP/s as a share of the most that this dtype reached here, named below\n"
                if ceilings
                else "\n"
            )
        )
    return notes


def _is_narrow(result: Measurement) -> bool:
    return result.wanted is None or result.interval <= result.wanted


def _data(outcomes: Sequence[Outcome]) -> str:
    return next((outcome.measurement.data for outcome in outcomes if outcome.measurement is not None), "none")


def _at_most(ceilings: Sequence[Ceiling]) -> list[str]:
    """Return the ceilings in one line, and in another what could not be measured."""
    known = [rate(each) for each in ceilings if each.rate is not None]
    unknown = [f"{each.of} ({each.how})" for each in ceilings if each.rate is None]
    return [f"at most: {', '.join(known)}"] * bool(known) + [f"at most, not known: {', '.join(unknown)}"] * bool(
        unknown
    )


def rate(ceiling: Ceiling) -> str:
    """Describe a known ceiling: GB/s for memory, GOP/s for int8, GFLOP/s for everything else."""
    if ceiling.of in MEMORY:
        return f"{ceiling.rate:,.0f} GB/s {ceiling.of}{_said(ceiling)}"
    unit = "GOP/s" if ceiling.of == "int8" else "GFLOP/s"  # int8 does no floating-point operations
    return f"{ceiling.rate:,.0f} {unit} {ceiling.of}{_said(ceiling)}"


def _said(ceiling: Ceiling) -> str:
    """Say how, when and beside what other load it was reached, where that is not ideal."""
    said = [
        ceiling.how if ceiling.of not in MEMORY and ceiling.how != ARITHMETIC else "",
        f"measured {ceiling.cached[:10]}" if ceiling.cached else "",
        f"while other programs took {ceiling.others:.0%} of the CPUs" if (ceiling.others or 0) > BUSY else "",
    ]
    return f" ({', '.join(filter(None, said))})" if any(said) else ""
