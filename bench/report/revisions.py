"""A model's throughput over the revisions of this project that result files come from."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cells import Cell, Measurement
from bench.report import drawing, selection
from bench.report.drawing import Line
from bench.report.inputs import Inputs
from bench.report.parts import Group, Plot, Section, Table, value
from bench.results import Run

_TEXT = (
    "Images a second, relative to the oldest revision of each line, on the same machine with the same number of "
    "threads. Lines are called by dtype and batch size; bars lead from the lower to the upper quartile of the rounds. "
    "Revisions are in the order of their newest runs, and + stands for changes that were not committed."
)
_SHOWN = 8  # revisions that are named below a plot


def section(inputs: Inputs) -> Section | None:
    changing = {setup: _revisions(runs) for setup, runs in selection.setups(inputs.runs).items()}
    groups = [Group(str(setup), _plots(cells), [_table(cells)]) for setup, cells in changing.items() if cells]
    return Section("revisions", "Over revisions", _TEXT, groups) if groups else None


def _revisions(runs: Sequence[Run]) -> dict[Cell, dict[str, Measurement]]:
    """Cells that were measured at several revisions, and the last measurement at each, the oldest first."""
    newest = {run.revision: run for run in runs if run.revision is not None}
    order = sorted(newest, key=lambda revision: newest[revision].date)
    at = {revision: selection.measured(run for run in runs if run.revision == revision) for revision in order}
    found: dict[Cell, dict[str, Measurement]] = {}
    for revision, measured in at.items():
        for cell, measurement in measured.items():
            found.setdefault(cell, {})[revision] = measurement
    return {cell: by_revision for cell, by_revision in found.items() if len(by_revision) > 1}


def _plots(changing: dict[Cell, dict[str, Measurement]]) -> list[Plot]:
    order = list(dict.fromkeys(revision for by_revision in changing.values() for revision in by_revision))
    several = len({cell.context for cell in changing}) > 1
    plots = []
    for (model, phase), cells in selection.panels(changing).items():
        drawn = []
        for style, cell in enumerate(cells):
            by_revision = changing[cell]
            first = next(iter(by_revision.values())).images_per_second
            rates = [each.images_per_second / first for each in by_revision.values()]
            spans = [(low / first, high / first) for low, high in map(selection.span, by_revision.values())]
            label = f"{cell.dtype}, {cell.batch_size}" + (f", {cell.context}" if several else "")
            drawn.append(Line(label, [order.index(each) for each in by_revision], rates, style, spans))
        facts = "; ".join(f"{line.label} {line.y[-1]:.2f} times its first" for line in drawn)
        plots.append(
            Plot(f"{model}, {phase}", f"{model}, {phase}: throughput over revisions; {facts}", _draw(drawn, order))
        )  # fmt: skip
    return plots


def _draw(drawn: Sequence[Line], order: Sequence[str]):
    def draw(axis, theme) -> None:
        step = -(-len(order) // _SHOWN)
        axis.axhline(1, color=theme.soft, linewidth=1)
        axis.set_xticks(range(0, len(order), step), [each[:7] for each in order[::step]], rotation=30, ha="right")
        axis.set_ylabel("times the oldest")
        axis.yaxis.set_major_formatter("{x:.3g}")
        drawing.lines(axis, drawn, theme)

    return draw


def _table(changing: dict[Cell, dict[str, Measurement]]) -> Table:
    rows = []
    for cell, by_revision in changing.items():
        first = next(iter(by_revision.values())).images_per_second
        for place, (revision, measurement) in enumerate(by_revision.items()):
            rate = measurement.images_per_second
            rows.append(
                (cell.model, cell.context, cell.dtype, cell.batch_size, cell.phase, (revision, place),
                 value(rate, "{:,.0f}"), value(measurement.spread, "{:.1%}"), value(rate / first - 1, "{:+.1%}"))
            )  # fmt: skip
    columns = ("model", "context", "dtype", "batch", "phase", "revision", "images/s", "spread", "to the oldest")
    return Table(columns, rows)
