"""What a page is made of: sections with plots and tables, as plain data that is independent of HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.report.themes import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.5, 3.4)  # inches of a plot: legible at the width of a phone, and two or three fit on a desktop
TALL = (4.5, 4.2)


@dataclass(frozen=True)
class Plot:
    """A picture with one pair of axes."""

    title: str  # unique within its group
    description: str  # alternative text, for those who cannot see it
    draw: Callable[[Axes, Theme], None]
    size: tuple[float, float] = SIZE


@dataclass(frozen=True)
class Table:
    """Rows of values: texts, numbers, or pairs of the text shown and the key to sort by."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    note: str = ""  # what its columns mean

    @property
    def cells(self) -> list[list[tuple[str, object]]]:
        """For each row, pairs of the text shown and the key to sort by."""
        return [[value if isinstance(value, tuple) else (str(value), value) for value in row] for row in self.rows]

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it is sorted by numbers; missing values are empty texts."""
        keys = [[key for _, key in column if key != ""] for column in zip(*self.cells)]
        return [bool(column) and all(isinstance(key, (int, float)) for key in column) for column in keys]


@dataclass(frozen=True)
class Group:
    """Plots and tables of one machine, or of one comparison."""

    title: str
    plots: Sequence[Plot] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Section:
    """One subject, present only if there are data for it."""

    name: str  # its anchor, and the first word of its plots' file names
    title: str
    text: str  # what is shown, in which unit
    groups: Sequence[Group]


def value(number: float | None, form: str) -> tuple[str, object]:
    """Return a number as a table shows it, and as it sorts by it; both are empty for None."""
    return ("", "") if number is None else (form.format(number), number)
