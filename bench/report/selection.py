"""Which of many measurements a plot shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.cells import PHASES, Cell, Measurement, Outcome
from bench.report.drawing import Line
from bench.results import Run
from zoo.runtime.dtypes import INFERENCE_DTYPES

Kinds = dict[tuple[str, str], str]  # what plots call each dtype and context


@dataclass(frozen=True)
class Setup:
    """A machine and a number of threads; figures are comparable only within one setup."""

    machine: str
    threads: int

    def __str__(self) -> str:
        return f"{self.machine}, {self.threads} thread{'s' * (self.threads != 1)}"


def machine(environment: Mapping[str, Any]) -> str:
    """Name the processor and GPUs, and which of this project's own code could not be used there."""
    parts = [environment["processor"], *environment["gpus"]]
    parts += ["without AMX"] if environment.get("amx") is False else []
    parts += ["without kernels"] if not (environment.get("kernels") or {}).get("usable", True) else []
    return ", ".join(parts)


def setup(environment: Mapping[str, Any]) -> Setup:
    """Return where a run was made, and with how many threads."""
    return Setup(machine(environment), environment["threads"])


def setups(runs: Iterable[Run]) -> dict[Setup, list[Run]]:
    """Group runs by where, and with how many threads, they were made."""
    found: dict[Setup, list[Run]] = {}
    for run in runs:
        found.setdefault(setup(run.environment), []).append(run)
    return found


def widest(runs: Iterable[Run]) -> dict[Setup, list[Run]]:
    """Return, for each machine, the runs with the most threads."""
    found = setups(runs)
    most = {each.machine: max(other.threads for other in found if other.machine == each.machine) for each in found}
    return {each: group for each, group in found.items() if each.threads == most[each.machine]}


def newest(runs: Iterable[Run]) -> dict[Cell, tuple[Outcome, Run]]:
    """Return the latest outcome of each cell; ``runs`` go from the oldest to the newest."""
    return {outcome.cell: (outcome, run) for run in runs for outcome in run.results}


def measured(runs: Iterable[Run]) -> dict[Cell, Measurement]:
    """Return the last measurement of each cell."""
    return {cell: measurement for run in runs for cell, measurement in run.measured.items()}


def panels(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Group cells by model, in order of appearance, and by phase, training first."""
    cells = list(cells)
    models = list(dict.fromkeys(cell.model for cell in cells))
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: (models.index(cell.model), _rank(PHASES, cell.phase))):
        found.setdefault((cell.model, cell.phase), []).append(cell)
    return found


def kinds(runs: Iterable[Run]) -> Kinds:
    """Return every dtype and context that occurs, in one order for the whole page."""
    pairs = {(outcome.cell.dtype, outcome.cell.context) for run in runs for outcome in run.results}
    several = len({context for _, context in pairs}) > 1
    return {
        (dtype, context): f"{dtype}, {context}" if several else dtype
        for dtype, context in sorted(pairs, key=lambda pair: (pair[1], _rank(INFERENCE_DTYPES, pair[0])))
    }


def relative_lines(cells: Iterable[Cell], varied: Mapping[Cell, Mapping[int, Measurement]], kinds: Kinds) -> list[Line]:
    """Return, for each kind among ``cells``, the images per second of one cell as multiples of its first measurement.

    That cell is the one with the most measurements in ``varied``; of several, the one with the largest batch.
    """
    drawn = []
    cells = list(cells)
    for style, (kind, label) in enumerate(kinds.items()):
        able = [cell for cell in cells if (cell.dtype, cell.context) == kind]
        if able:
            measured = varied[max(able, key=lambda cell: (len(varied[cell]), cell.batch_size))]
            first = next(iter(measured.values())).images_per_second
            rates = [each.images_per_second / first for each in measured.values()]
            spans = [(low / first, high / first) for low, high in map(span, measured.values())]
            drawn.append(Line(label, list(measured), rates, style, spans))
    return drawn


def span(measurement: Measurement) -> tuple[float, float]:
    """Return the quartiles of the rounds' images per second."""
    low, high = np.percentile([each.images / each.seconds for each in measurement.rounds], (25, 75))
    return float(low), float(high)


def _rank(order: Sequence[str], value: str) -> int:
    return order.index(value) if value in order else len(order)
