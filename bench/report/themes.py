"""The colours of plots, on light and on dark pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours; all but the grid's contrast with the paper by 4.5 : 1 or more."""

    name: str
    paper: str
    ink: str
    soft: str  # for secondary elements
    grid: str
    lines: tuple[str, ...]


LIGHT = Theme(
    "light", "#ffffff", "#1c2024", "#5b636c", "#e3e6ea",
    ("#0a5ea8", "#b3450b", "#0b7a52", "#8a3a9c", "#7a6200", "#3d4650"),
)  # fmt: skip
DARK = Theme(
    "dark", "#14181d", "#e8eaed", "#a4adb7", "#2d343c",
    ("#6cb6ff", "#ff9e64", "#5fd3a2", "#d99bea", "#e3c55b", "#c3cad2"),
)  # fmt: skip
