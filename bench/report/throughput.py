"""Images a second against the batch size, and a table of everything that was measured."""

from __future__ import annotations

from collections.abc import Sequence

from bench import tables
from bench.report import drawing, selection
from bench.report.drawing import Line
from bench.report.inputs import Inputs
from bench.report.parts import Group, Plot, Section, Table
from bench.report.selection import Kinds
from bench.results import Run

_TEXT = (
    "Images a second: the median of five or more rounds, with a bar from the lower to the upper quartile. "
    "Training is forward, backward and update; inference is forward only."
)
_NOTE = (
    "Spread: between the quartiles, relative to the median; * still unsteady after its warm-up. 95% interval: of the "
    "median, its width as a share of it. ms/batch: batches that "
    "are waited for one by one; ~ from fewer than 20. Epoch: 60,000 images of MNIST. Peak MiB: memory of the whole "
    "process. GFLOP/s: of convolutions and dense layers; of peak: their share of the most that this dtype reached here."
)


def section(inputs: Inputs) -> Section | None:
    """Plots and a table for each machine, from its runs with the most threads; None without any run."""
    kinds = selection.kinds(inputs.runs)
    groups = [
        Group(str(setup), _plots(runs, kinds), [_table(runs)])
        for setup, runs in selection.widest(inputs.runs).items()
    ]  # fmt: skip
    return Section("throughput", "Throughput", _TEXT, groups) if groups else None


def _plots(runs: Sequence[Run], kinds: Kinds) -> list[Plot]:
    measured = selection.measured(runs)
    plots = []
    for (model, phase), cells in selection.panels(measured).items():
        sizes = sorted({cell.batch_size for cell in cells})
        if len(sizes) < 2:
            continue
        drawn = []
        for style, (kind, label) in enumerate(kinds.items()):
            line = sorted(
                (each for each in cells if kind == (each.dtype, each.context)), key=lambda each: each.batch_size
            )
            if line:
                rates = [measured[cell].images_per_second for cell in line]
                spans = [selection.span(measured[cell]) for cell in line]
                drawn.append(Line(label, [cell.batch_size for cell in line], rates, style, spans))
        facts = "; ".join(f"{line.label} {line.y[-1]:,.0f} at batch {line.x[-1]}" for line in drawn)
        plots.append(
            Plot(
                f"{model}, {phase}", f"{model}, {phase}: images a second against batch size; {facts}",
                drawing.logarithmic(drawn, "batch size", "images/s", sizes),
            )
        )  # fmt: skip
    return plots


def _table(runs: Sequence[Run]) -> Table:
    found = selection.newest(runs).values()
    failed = any(outcome.error for outcome, _ in found)
    rows = [
        [*zip(tables.rounded(outcome, run.ceilings), tables.exact(outcome, run.ceilings)),
         *([outcome.error or ""] if failed else [])]
        for outcome, run in found
    ]  # fmt: skip
    return Table([*tables.COLUMNS, *(["why it failed"] if failed else [])], rows, note=_NOTE)
