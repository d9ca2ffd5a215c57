"""Plots written to files by matplotlib (the extra ``report``), readable without colors too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import ZooError
from zoo.io import files
from zoo.training import Evaluation, RangeTest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLORS = ("#000000", "#d55e00", "#56b4e9", "#009e73")  # distinct in lightness as well as in hue
_MARKERS = "os^D"
_MOST_DIGITS = 400  # in one picture
_SIDE, _CELL_WIDTH, _CELL_HEIGHT = 28, 36, 52  # pixels: a digit, and a cell with room for its caption


@dataclass(frozen=True)
class Curve:
    """A curve over epochs 1, 2, ...; the measured and the published curve of one run share a ``style``."""

    label: str
    values: Sequence[float | None]  # None leaves a gap
    style: int = 0
    published: bool = False


def missing() -> str | None:
    """The reason why plots cannot be made, or None if they can."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return "no plot: matplotlib is not installed; run pip install '.[report]'"
    return None


def output(path: Path) -> Path:
    """Return ``path`` if a plot can be written there, else raise :class:`ZooError`; call it before any long work."""
    path = files.output_file(path)
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise ZooError(f"cannot write a plot to {path}: its name must end in .png, .pdf or .svg")
    return path


def curves(panels: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> None:
    """Plot validation accuracies over epochs, with one titled panel per group of curves."""
    figure, axes = _figure(len(panels))
    for axis, (title, lines) in zip(axes, panels):
        for line in lines:
            color = _COLORS[line.style % len(_COLORS)]
            axis.plot(
                range(1, len(line.values) + 1), line.values, label=line.label, color=color, linewidth=1.4, markersize=6,
                marker=_MARKERS[line.style % len(_MARKERS)], markerfacecolor="white" if line.published else color,
                linestyle="--" if line.published else "-",
            )  # fmt: skip
        axis.set(title=title, xlabel="epoch", ylabel="validation accuracy")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.yaxis.set_major_formatter("{x:.2%}" if axis.get_ylim()[0] > 0.8 else "{x:.0%}")
        axis.grid(color="#dddddd")
        axis.legend(fontsize="small", loc="lower right")
    _save(figure, path)


def learning_rates(test: RangeTest, title: str, path: Path) -> None:
    """Plot the loss against the learning rate, and mark the suggestion."""
    figure, (axis,) = _figure(1)
    axis.plot(test.rates, test.losses, ".", color="#999999", label="batches")
    axis.plot(test.rates, test.smoothed, color="black", label="running mean")
    axis.axvline(test.suggestion, color="#d55e00", linestyle="--", label=f"suggested: {test.suggestion:.2g}")
    axis.set(title=title, xlabel="learning rate", ylabel="loss (nats)", xscale="log")
    if max(test.losses) > 20 * min(test.losses):
        axis.set_yscale("log")
    axis.grid(color="#dddddd")
    axis.legend()
    _save(figure, path)


def misclassified(evaluation: Evaluation, images: np.ndarray, title: str, path: Path) -> int:
    """Draw the misclassified digits of ``images`` ``(n, 28, 28)`` with their predictions; returns how many are shown.

    The most confident mistakes come first; if there are too many, only those are shown.
    """
    from matplotlib.figure import Figure

    predictions, confidences = evaluation.predictions, evaluation.confidences
    wrong = np.flatnonzero(predictions != evaluation.labels)
    wrong = wrong[np.argsort(-confidences[wrong], kind="stable")][:_MOST_DIGITS]
    columns = max(8, round(len(wrong) ** 0.5))
    rows = max(1, -(-len(wrong) // columns))
    page = np.zeros((rows * _CELL_HEIGHT, columns * _CELL_WIDTH), np.uint8)
    figure = Figure(figsize=(columns * 0.75, rows * 0.75 * _CELL_HEIGHT / _CELL_WIDTH + 0.8), layout="constrained")
    axis = figure.subplots()
    for number, index in enumerate(wrong):
        row, column = divmod(number, columns)
        left, bottom = column * _CELL_WIDTH + (_CELL_WIDTH - _SIDE) // 2, (row + 1) * _CELL_HEIGHT
        page[bottom - _SIDE : bottom, left : left + _SIDE] = images[index]
        caption = f"{evaluation.labels[index]} → {predictions[index]}\n#{index}, {confidences[index]:.0%}"
        axis.text(left + _SIDE / 2, bottom - _SIDE - 1, caption, ha="center", va="bottom", fontsize=7, in_layout=False)
    axis.imshow(page, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.axis("off")
    shown = "" if len(wrong) == evaluation.errors else f", {len(wrong):,} shown"
    counts = f"{evaluation.errors:,} of {len(images):,} misclassified{shown}"
    axis.set_title(f"{title}: {counts}\ntruth → prediction, index, confidence; the most confident first", fontsize=9)
    _save(figure, path)
    return len(wrong)


def _figure(panels: int) -> tuple[Figure, np.ndarray]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 5.5 * panels, 4.6), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False, sharey=True)[0]


def _save(figure: Figure, path: Path) -> None:
    with files.atomic(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=120)
