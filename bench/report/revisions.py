"""A model's throughput over the revisions of this project that result files come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.cells import Cell, Measurement
from bench.report import drawing, selection
from bench.report.drawing import Line
from bench.report.inputs import Inputs
from bench.report.parts import Group, Plot, Section, Table, value
from bench.report.selection import Kinds
from bench.report.themes import Theme
from bench.results import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT = (
    "Images a second, relative to the oldest revision of each line, on the same machine with the same number of "
    "threads; plots show the largest batch, with bars from the lower to the upper quartile of the rounds. Revisions "
    "are in the order of their newest runs, and + stands for changes that were not committed."
)
_SHOWN = 8  # revisions that are named below a plot
Changes = dict[Cell, dict[int, Measurement]]  # by the revision's place among all


def section(inputs: Inputs) -> Section | None:
    """Plots and a table for each setup that was measured at several revisions; None without any."""
    kinds = selection.kinds(inputs.runs)
    groups = []
    for setup, runs in selection.setups(inputs.runs).items():
        order = _order(runs)
        changes = _changes(runs, order)
        if changes:
            groups.append(Group(str(setup), _plots(changes, order, kinds), [_table(changes, order)]))
    return Section("revisions", "Over revisions", _TEXT, groups) if groups else None


def _order(runs: Sequence[Run]) -> list[str]:
    newest = {run.revision: run.date for run in runs if run.revision is not None}
    return sorted(newest, key=newest.__getitem__)


def _changes(runs: Sequence[Run], order: Sequence[str]) -> Changes:
    """Return the cells that were measured at several revisions, with the last measurement at each."""
    found: Changes = {}
    for place, revision in enumerate(order):
        for cell, measurement in selection.measured(run for run in runs if run.revision == revision).items():
            found.setdefault(cell, {})[place] = measurement
    return {cell: by_place for cell, by_place in found.items() if len(by_place) > 1}


def _plots(changes: Changes, order: Sequence[str], kinds: Kinds) -> list[Plot]:
    plots = []
    for (model, phase), cells in selection.panels(changes).items():
        drawn = selection.relative_lines(cells, changes, kinds)
        facts = "; ".join(f"{line.label} {line.y[-1]:.2f} times its first" for line in drawn)
        description = f"{model}, {phase}: throughput over revisions; {facts}"
        plots.append(Plot(f"{model}, {phase}", description, _draw(drawn, order)))
    return plots


def _draw(drawn: Sequence[Line], order: Sequence[str]) -> Callable[[Axes, Theme], None]:
    def draw(axis: Axes, theme: Theme) -> None:
        step = -(-len(order) // _SHOWN)
        axis.axhline(1, color=theme.soft, linewidth=1)
        axis.set_xticks(range(0, len(order), step), [each[:7] for each in order[::step]], rotation=30, ha="right")
        axis.set_ylabel("times the oldest")
        axis.yaxis.set_major_formatter("{x:.3g}")
        drawing.lines(axis, drawn, theme)

    return draw


def _table(changes: Changes, order: Sequence[str]) -> Table:
    rows = []
    for cell, by_place in changes.items():
        first = next(iter(by_place.values())).images_per_second
        for place, measurement in by_place.items():
            rate = measurement.images_per_second
            rows.append(
                (cell.model, cell.context, cell.dtype, cell.batch_size, cell.phase, (order[place], place),
                 value(rate, "{:,.0f}"), value(measurement.spread, "{:.1%}"), value(rate / first - 1, "{:+.1%}"))
            )  # fmt: skip
    columns = ("model", "context", "dtype", "batch", "phase", "revision", "images/s", "spread", "to the oldest")
    return Table(columns, rows)
