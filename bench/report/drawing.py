"""Plots as PNG files in a light and a dark theme, drawn by matplotlib; they can be read without colours, too."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.report.parts import Plot
from bench.report.themes import Theme
from bench.results import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_DPI = 180
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"))  # as drawn, and in a label
_DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
_PLAIN = "{x:,.12g}"
_GAP = 0.25  # inches between labels, vertically
_LONGEST = 40  # characters of a text in a plot: matplotlib takes seconds for long ones


@dataclass(frozen=True)
class Line:
    """A curve; curves of one ``style`` show the same thing in every plot of a page."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: int = 0
    spans: Sequence[tuple[float, float]] = ()  # for each y, the range in which it varied


def png(plot: Plot, theme: Theme) -> bytes:
    """Draw ``plot`` and return the contents of a PNG file."""
    import matplotlib
    from matplotlib.figure import Figure
    from PIL import Image

    with matplotlib.rc_context(_settings(theme)):
        figure = Figure(figsize=plot.size, layout="constrained")
        axis = figure.add_subplot()
        axis.set_title(one_line(plot.title, _LONGEST), loc="left", fontweight="bold")
        plot.draw(axis, theme)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=_DPI)
    packed = io.BytesIO()  # a few colours are enough, at a third of the size
    Image.open(drawn).convert("RGB").quantize(64).save(packed, format="png", optimize=True)
    return packed.getvalue()


def lines(axis: Axes, drawn: Sequence[Line], theme: Theme) -> None:
    """Draw the curves, each with its name beside its last point."""
    for line in drawn:
        color, marker = color_of(line.style, theme), _MARKERS[line.style % len(_MARKERS)][0]
        spans = [(y - low, high - y) for y, (low, high) in zip(line.y, line.spans)]
        axis.errorbar(
            line.x, line.y, yerr=list(zip(*spans)) or None, color=color, marker=marker, capsize=2.5, elinewidth=1,
            linestyle=_DASHES[line.style % len(_DASHES)],
        )  # fmt: skip
    _label(axis, drawn, theme)


def color_of(style: int, theme: Theme) -> str:
    """Return the colour of a style; colours repeat if there are more styles than the theme has colours."""
    return theme.lines[style % len(theme.lines)]


def logarithmic(
    drawn: Sequence[Line], xlabel: str, ylabel: str, ticks: Sequence[float] = (), ideal: bool = False
) -> Callable[[Axes, Theme], None]:
    """Return a function that draws the curves on logarithmic axes; ``ideal`` adds y proportional to x, from 1 on."""

    def draw(axis: Axes, theme: Theme) -> None:
        from matplotlib.ticker import NullLocator

        axis.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
        if ticks:
            axis.set_xticks(ticks)
            axis.xaxis.set_major_formatter(_PLAIN)
            axis.xaxis.set_minor_locator(NullLocator())
        if ideal:
            axis.plot(ticks, [x / ticks[0] for x in ticks], color=theme.soft, linewidth=1)
        lines(axis, drawn, theme)

    return draw


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with numbers such as 20,000 instead of powers, at the same places as matplotlib."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        def __call__(self, value: float, place: int | None = None) -> str:
            return _PLAIN.format(x=value) if super().__call__(value, place) else ""

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain())


def _label(axis: Axes, drawn: Sequence[Line], theme: Theme) -> None:
    """Write the names at the right edge, lowest first, pushed apart where they would overlap."""
    axis.autoscale_view()
    transform = axis.transData + axis.transAxes.inverted()
    ends = sorted(((*transform.transform((line.x[-1], line.y[-1])), line) for line in drawn), key=lambda end: end[1])
    heights = _apart([y for _, y, _ in ends], _GAP / axis.figure.get_figheight())
    for (x, y, line), height in zip(ends, heights):
        axis.annotate(
            f"{_MARKERS[line.style % len(_MARKERS)][1]} {one_line(line.label, _LONGEST)}", (x, y), (1.03, height),
            xycoords="axes fraction", textcoords="axes fraction", color=color_of(line.style, theme), va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": theme.soft, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkB": 4},
        )  # fmt: skip


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move rising ``heights`` as little as possible to leave a gap between each two, with none above 1."""
    placed = list(heights)
    for _ in range(200):
        placed[-1] = min(placed[-1], 1.0)
        for low in range(len(placed) - 1):
            missing = gap - (placed[low + 1] - placed[low])
            if missing > 0:
                placed[low] -= missing / 2
                placed[low + 1] += missing / 2
    return placed


def _settings(theme: Theme) -> dict[str, object]:
    return {
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.soft,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 11,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "text.color": theme.ink,
        "text.parse_math": False,  # "$" begins no formula
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 9.5,
        "lines.linewidth": 1.7,
        "lines.markersize": 6,
    }
