"""Time to accuracy: what accuracy training runs had reached after how long."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from bench.report import drawing
from bench.report.drawing import Line
from bench.report.inputs import Inputs, Training
from bench.report.parts import TALL, Group, Plot, Section, Table, value
from bench.report.themes import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT = (
    "Validation accuracy after each epoch against the seconds of training until then, validation not counted. "
    "The vertical axis is drawn by the share of errors, which halves over equal distances."
)
_GOALS = (0.9, 0.95, 0.97, 0.98, 0.99, 0.993, 0.995)
_TICKS = [leading * 10.0**power for power in (-4, -3, -2, -1) for leading in (1, 2, 3, 5)]  # shares of errors
_FEWEST_ERRORS = 1e-4  # stands in for no errors, which a logarithmic axis cannot show


def section(inputs: Inputs) -> Section | None:
    """Plot all training runs that were validated, with a table of when each reached what; None without any."""
    runs = {training: _curve(training) for training in inputs.trainings}
    runs = {training: curve for training, curve in runs.items() if curve}
    if not runs:
        return None
    names = _names(runs)
    drawn = [
        Line(name, [seconds for seconds, _ in curve], [accuracy for _, accuracy in curve], style)
        for style, (name, curve) in enumerate(zip(names, runs.values()))
    ]
    facts = "; ".join(f"{line.label} {line.y[-1]:.2%} after {line.x[-1]:,.1f} s" for line in drawn)
    plot = Plot("Validation accuracy", f"Validation accuracy against seconds of training; {facts}", _draw(drawn), TALL)
    return Section("accuracy", "Time to accuracy", _TEXT, [Group("", [plot], [_table(names, runs)])])


def _curve(training: Training) -> list[tuple[float, float]]:
    """Return the seconds of training so far and the validation accuracy, epoch by epoch."""
    records = training.history.records
    passed = itertools.accumulate(record.seconds for record in records)
    return [
        (seconds, record.validation_accuracy)
        for seconds, record in zip(passed, records)
        if record.validation_accuracy is not None
    ]


def _names(runs: Iterable[Training]) -> list[str]:
    """Return the names of the folders, numbered where several are the same."""
    names = [training.name for training in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _draw(drawn: Sequence[Line]) -> Callable[[Axes, Theme], None]:
    def draw(axis: Axes, theme: Theme) -> None:
        from matplotlib.ticker import FixedLocator, NullLocator

        errors = [Line(line.label, line.x, [max(1 - y, _FEWEST_ERRORS) for y in line.y], line.style) for line in drawn]
        axis.invert_yaxis()
        drawing.logarithmic(errors, "seconds of training", "")(axis, theme)
        axis.yaxis.set_major_locator(FixedLocator(_TICKS))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 - 100 * value:.6g}%")

    return draw


def _table(names: Sequence[str], runs: dict[Training, list[tuple[float, float]]]) -> Table:
    best = {training: max(accuracy for _, accuracy in curve) for training, curve in runs.items()}
    goals = [goal for goal in _GOALS if goal <= max(best.values())][-3:]
    rows = []
    for name, (training, curve) in zip(names, runs.items()):
        history, recipe = training.history, training.history.recipe
        reached = [next((seconds for seconds, accuracy in curve if accuracy >= goal), None) for goal in goals]
        rows.append(
            (name, recipe.dtype, recipe.batch_size, f"{recipe.optimizer}, {recipe.learning_rate:g}", recipe.seed,
             ", ".join(history.contexts), history.threads, len(history.records),
             value(curve[-1][0], "{:,.1f}"), value(best[training], "{:.2%}"),
             *(value(each, "{:,.1f}") for each in reached))
        )  # fmt: skip
    columns = ("run", "dtype", "batch", "optimizer, rate", "seed", "context", "threads", "epochs", "seconds", "best")
    return Table((*columns, *(f"s to {100 * goal:g}%" for goal in goals)), rows)
