"""Share of the ceiling: what was reached against what arithmetic units and memory allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.cells import MEMORY, Cell, Measurement, highest, peak
from bench.report import drawing, selection
from bench.report.drawing import Line
from bench.report.inputs import Inputs
from bench.report.intensity import intensity
from bench.report.parts import TALL, Group, Plot, Section, Table, value
from bench.report.themes import Theme
from zoo.models.architectures import MODELS
from zoo.runtime.dtypes import INFERENCE_DTYPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT = (
    "GFLOP/s of convolutions and dense layers against FLOPs per byte, if each such layer moves its input, weights and "
    "output once. The roof is what this machine did at most in these runs: on its slope memory is the limit, where "
    "it is flat the arithmetic units. A line leads from the smallest to the largest batch; what is above the slope "
    "finds its data in caches."
)


def section(inputs: Inputs) -> Section | None:
    """A roofline for each dtype of each machine whose ceilings are known; None without any."""
    groups = []
    for setup, runs in selection.widest(inputs.runs).items():
        ceilings = highest(ceiling for run in runs for ceiling in run.ceilings)
        bandwidth = max((each.rate or 0 for each in ceilings if each.of in MEMORY), default=0)
        measured = {
            cell: measurement for cell, measurement in selection.measured(runs).items()
            if cell.model in MODELS and cell.dtype in INFERENCE_DTYPES and min(bandwidth, peak(cell, ceilings) or 0) > 0
        }  # fmt: skip
        roofs = {ceiling.of: ceiling.rate for ceiling in ceilings if ceiling.rate is not None}
        plots = [
            _plot(dtype, roof, bandwidth, {cell: each for cell, each in measured.items() if cell.dtype == dtype})
            for dtype, roof in roofs.items() if dtype in {cell.dtype for cell in measured}
        ]  # fmt: skip
        if plots:
            groups.append(Group(str(setup), plots, [_table(measured, roofs)]))
    return Section("roofline", "Share of the ceiling", _TEXT, groups) if groups else None


def _plot(dtype: str, roof: float, bandwidth: float, measured: dict[Cell, Measurement]) -> Plot:
    operation = "OP" if dtype == "int8" else "FLOP"  # integers have no floating point
    unit = f"G{operation}/s"
    several = len({cell.context for cell in measured}) > 1
    batches: dict[str, list[Cell]] = {}
    for cell in sorted(measured, key=lambda cell: cell.batch_size):
        context = f", {cell.context}" if several else ""
        batches.setdefault(f"{cell.model}, {cell.phase}{context}", []).append(cell)
    drawn = [
        Line(name, [intensity(cell) for cell in cells], [measured[cell].gflops for cell in cells], style)
        for style, (name, cells) in enumerate(batches.items())
    ]

    def draw(axis: Axes, theme: Theme) -> None:
        corner, xs = roof / bandwidth, [x for line in drawn for x in line.x]
        left, right = min(xs) / 2, max(*xs, corner) * 2
        axis.set(xscale="log", xlim=(left, right))
        axis.plot([left, corner, right], [left * bandwidth, roof, roof], color=theme.ink, linewidth=1.4)
        for text, place, offset in (
            (f"arithmetic: {roof:,.0f} {unit}", (right, roof), (0, 4)),
            (f"memory: {bandwidth:,.0f} GB/s", (corner / 2, roof / 2), (-8, 2)),
        ):
            axis.annotate(text, place, offset, textcoords="offset points", ha="right", va="bottom")
        drawing.logarithmic(drawn, f"{operation}s per byte", unit)(axis, theme)

    best = max(measured, key=lambda cell: measured[cell].gflops)
    return Plot(
        dtype,
        f"{dtype}: a roof of {roof:,.0f} {unit} and {bandwidth:,.1f} GB/s; the most was reached by {best}: "
        f"{measured[best].gflops:,.1f} {unit}",
        draw, TALL,
    )  # fmt: skip


def _table(measured: dict[Cell, Measurement], roofs: Mapping[str, float]) -> Table:
    rows = []
    for cell, measurement in measured.items():
        rows.append(
            (cell.model, cell.dtype, cell.batch_size, cell.phase, value(intensity(cell), "{:,.1f}"),
             value(measurement.gflops, "{:,.1f}"), value(measurement.gflops / roofs[cell.dtype], "{:.2%}"))
        )  # fmt: skip
    return Table(("model", "dtype", "batch", "phase", "FLOPs/byte", "GFLOP/s", "of the roof's flat part"), rows)
