"""C text: blocks, loops, and arrays of constants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

_INDENT = "    "
_WIDTH = 112  # of the lines of constants
TYPES = {np.dtype(np.float32): "float", np.dtype(np.int8): "int8_t", np.dtype(np.uint8): "uint8_t",
         np.dtype(np.int32): "int32_t"}  # fmt: skip


def block(head: str, *lines: str | Sequence[str]) -> list[str]:
    """Return ``head`` with ``lines`` in braces after it."""
    return [f"{head} {{" if head else "{", *(_INDENT + line for line in flat(lines)), "}"]


def loop(variable: str, count: int | str, *lines: str | Sequence[str]) -> list[str]:
    """Return a loop of ``variable`` from 0 on."""
    return block(f"for (int {variable} = 0; {variable} < {count}; {variable}++)", *lines)


def repeated(variable: str, count: int, *lines: str | Sequence[str]) -> list[str]:
    """Return a loop whose lines name ``variable`` in :func:`times` only; of one round, nothing but its lines."""
    return flat(lines) if count == 1 else loop(variable, count, *lines)


def flat(lines: Iterable[str | Sequence[str]]) -> list[str]:
    """Return lines, some of which come as lists, as one list."""
    return [line for each in lines for line in ([each] if isinstance(each, str) else each)]


def times(variable: str, count: int, factor: int) -> str:
    """Return a summand of an index, `` + variable * factor``; nothing where :func:`repeated` has one round."""
    return "" if count == 1 else f" + {by(variable, factor)}"


def by(variable: str, factor: int) -> str:
    """Return the product of a variable and a constant."""
    return variable if factor == 1 else f"{variable} * {factor}"


def number(value: float) -> str:
    """Return a float as C reads it, with as many digits as it takes."""
    if np.isinf(value):
        return "-HUGE_VALF" if value < 0 else "HUGE_VALF"
    return f"{np.float32(value)}f"


def constants(name: str, values: np.ndarray) -> list[str]:
    """Return the definition of an array of constants."""
    kind = TYPES[values.dtype]
    ending = "f" if kind == "float" else ""
    lines, line = [], ""
    for text in values.ravel().astype("U16"):
        if len(line) + len(text) + 2 > _WIDTH:
            lines.append(line)
            line = ""
        line += f"{text}{ending},"
    return [f"static const {kind} {name}[{values.size}] = {{", *lines, line.rstrip(","), "};"]


def identifier(name: str) -> str:
    """Return ``name`` with only what a C identifier may have; it may still begin with a digit."""
    return re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
