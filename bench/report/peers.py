"""The comparison with other runtimes: ratios with their intervals and targets, and every side by itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.report import drawing, selection
from bench.report.inputs import Inputs, Peers, SavedTarget
from bench.report.parts import Group, Plot, Section, Table, value
from bench.report.themes import Theme
from bench.results import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TEXT = (
    "How many times as fast this project does the same work: the median over the rounds, in which all sides take "
    "turns, with its 95% interval. Right of the line at 1 this project is faster; a hollow point missed its target."
)
_NOTE = (
    "Spread: between the quartiles of the rounds, relative to their median. Check: largest difference of logits from "
    "plain float32 Gluon's, share of the same digits, mean of the first losses."
)
_WIDTH = 70  # characters per line of a row's name


def section(inputs: Inputs) -> Section | None:
    """A plot and two tables for each comparison; None without any."""
    groups = []
    for peers in inputs.peers:
        compared = [(aim, aim.ratio) for aim in peers.targets if aim.ratio is not None]
        plots = [_plot(compared)] if compared else []
        title = f"{selection.setup(peers.environment)}, {peers.environment['date'][:10]}"
        groups.append(Group(title, plots, [_targets(peers), _sides(peers)]))
    return Section("peers", "Against other runtimes", _TEXT, groups) if groups else None


def _plot(compared: Sequence[tuple[SavedTarget, float]]) -> Plot:
    """Plot rows with their ratios."""
    facts = "; ".join(f"{aim.work} against {aim.against} {ratio:.2f} {aim.verdict}" for aim, ratio in compared)

    def draw(axis: Axes, theme: Theme) -> None:
        for place, (aim, ratio) in enumerate(compared):
            missed = aim.at_least is not None and ratio < aim.at_least
            color = drawing.color_of(1 if missed else 0, theme)
            axis.plot(aim.interval, (place, place), color=color, linewidth=2.2, marker="|", markersize=9)
            axis.plot(ratio, place, "o", color=color, markersize=8, markerfacecolor=theme.paper if missed else color)
            for aimed, marker, size in ((aim.at_least, "D", 6), (aim.stretch, "*", 9)):
                if aimed is not None:
                    axis.plot(aimed, place, marker, color=theme.ink, markersize=size, markerfacecolor=theme.paper)
            verdict = f": {aim.verdict}" if aim.verdict else ""
            name = textwrap.fill(one_line(f"{aim.work} against {aim.against}{verdict}", 2 * _WIDTH), _WIDTH)
            axis.annotate(name, (0, place - 0.2), xycoords=("axes fraction", "data"), va="bottom", fontsize=8.5,
                          bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1})  # fmt: skip
            axis.annotate(f"{ratio:.2f}×", (1.02, place), xycoords=("axes fraction", "data"), va="center", color=color)
        axis.axvline(1, color=theme.soft, linewidth=1, zorder=0)
        axis.set(xscale="log", xlabel="times as fast (◇ target, ☆ stretch)", ylim=(len(compared) - 0.6, -1))
        axis.yaxis.set_visible(False)
        axis.spines.left.set_visible(False)
        drawing.plain_numbers(axis.xaxis)

    return Plot("This project against others", f"Times as fast: {facts}", draw, (4.5, 1 + 0.64 * len(compared)))


def _targets(peers: Peers) -> Table:
    rows = [
        (aim.work, aim.against, aim.ours or "", aim.theirs or "", value(aim.ratio, "{:.2f}×"),
         "" if aim.interval is None else "{:.2f} to {:.2f}".format(*aim.interval), value(aim.at_least, "{:.1f}×"),
         aim.verdict)
        for aim in peers.targets
    ]  # fmt: skip
    columns = ("work", "against", "here", "there", "ratio", "95% interval", "target", "verdict")
    return Table(columns, rows, "Targets")


def _sides(peers: Peers) -> Table:
    rows = []
    for group in peers.works:
        for side in group.sides:
            median, spread = (side.median, side.spread) if side.rounds else (None, None)
            batch = 1000 * group.work.batch_size / median if median else None
            rows.append(
                (str(group.work), side.configuration.name, value(median, "{:,.0f}"), value(spread, "{:.0%}"),
                 value(batch, "{:,.2f}"), side.problem or str(side.check))
            )  # fmt: skip
    columns = ("work", "side", "images/s", "spread", "ms/batch", "check")
    return Table(columns, rows, "Every side by itself", _NOTE)
