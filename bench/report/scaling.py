"""What more threads bring: the same cells on the same machine with different numbers of threads."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cells import Cell, Measurement
from bench.report import drawing, selection
from bench.report.inputs import Inputs
from bench.report.parts import Group, Plot, Section, Table, value
from bench.report.selection import Kinds
from bench.results import Run

_TEXT = (
    "How many times as fast a model is with more threads, one on each core, than with the fewest that were measured; "
    "plots show its largest batch. The grey line is what the threads could bring at best, and efficiency the share of "
    "it that was reached."
)


def section(inputs: Inputs) -> Section | None:
    """Plots and a table for each machine that ran with different numbers of threads; None without any."""
    machines: dict[str, list[Run]] = {}
    for run in inputs.runs:
        machines.setdefault(selection.machine(run.environment), []).append(run)
    kinds = selection.kinds(inputs.runs)
    scaled = {machine: _scaled(runs) for machine, runs in machines.items()}
    groups = [Group(machine, _plots(cells, kinds), [_table(cells)]) for machine, cells in scaled.items() if cells]
    return Section("scaling", "Scaling over cores", _TEXT, groups) if groups else None


def _scaled(runs: Sequence[Run]) -> dict[Cell, dict[int, Measurement]]:
    """Return CPU cells measured with different numbers of threads, and the last measurement with each."""
    found: dict[Cell, dict[int, Measurement]] = {}
    for setup, group in sorted(selection.setups(runs).items(), key=lambda item: item[0].threads):
        for cell, measurement in selection.measured(group).items():
            if "gpu" not in cell.context:
                found.setdefault(cell, {})[setup.threads] = measurement
    return {cell: by_threads for cell, by_threads in found.items() if len(by_threads) > 1}


def _plots(scaled: dict[Cell, dict[int, Measurement]], kinds: Kinds) -> list[Plot]:
    plots = []
    for (model, phase), cells in selection.panels(scaled).items():
        drawn = selection.relative_lines(cells, scaled, kinds)
        threads = sorted({x for line in drawn for x in line.x})
        facts = "; ".join(f"{line.label} {line.y[-1]:.2f} times with {line.x[-1]} threads" for line in drawn)
        plots.append(
            Plot(
                f"{model}, {phase}", f"{model}, {phase}: speed against threads; {facts}",
                drawing.logarithmic(drawn, "threads", "times as fast", threads, ideal=True),
            )
        )  # fmt: skip
    return plots


def _table(scaled: dict[Cell, dict[int, Measurement]]) -> Table:
    rows = []
    for cell, by_threads in scaled.items():
        fewest, first = next(iter(by_threads.items()))
        for threads, measurement in by_threads.items():
            times = measurement.images_per_second / first.images_per_second
            rows.append(
                (cell.model, cell.dtype, cell.batch_size, cell.phase, threads,
                 value(measurement.images_per_second, "{:,.0f}"), value(times, "{:.2f}×"),
                 value(times * fewest / threads, "{:.0%}"))
            )  # fmt: skip
    columns = ("model", "dtype", "batch", "phase", "threads", "images/s", "times as fast", "efficiency")
    return Table(columns, rows)
