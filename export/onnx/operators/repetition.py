"""Operators that repeat elements along axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import flat
from export.onnx.sizes import Size, sizes


def tile(call: Call) -> str:
    """``tile`` as Tile; missing axes and repetitions count as 1, in front."""
    times = call.settings.integers("reps", ())
    data: Tensor | str = call.data
    if len(times) > call.data.rank:
        data = call.add("Unsqueeze", data, call.integers("axes", range(len(times) - call.data.rank)), suffix="raised")
    return call.add("Tile", data, call.integers("repeats", (1,) * (call.data.rank - len(times)) + times))


def repeat(call: Call) -> str:
    """``repeat`` as Gather, with every index as often as its element is repeated."""
    times, axis = call.settings.integer("repeats", 1), call.settings.get("axis")
    data, along = (call.data, call.axis(axis)) if isinstance(axis, int) else (flat(call), 0)
    repeats, zero, one = (call.constant(*each, np.int64) for each in (("repeats", times), ("zero", 0), ("one", 1)))
    size = call.add("Squeeze", sizes(call, (data, along)), suffix="size")
    count = call.add("Mul", size, repeats, suffix="count")
    index = call.add("Div", call.add("Range", zero, count, one, suffix="range"), repeats, suffix="index")
    return call.add("Gather", data, index, axis=along)


def broadcast_axis(call: Call) -> str:
    """``broadcast_axis`` as Expand along the axes."""
    axes, counts = call.settings.integers("axis", ()), call.settings.integers("size", ())
    wanted = {call.axis(axis): count for axis, count in zip(axes, counts)}
    return call.add("Expand", call.data, sizes(call, *(wanted.get(axis, 1) for axis in range(call.data.rank))))


def broadcast_to(call: Call) -> str:
    """``broadcast_to`` as Expand; a size of 0 keeps that of the data."""
    return call.add("Expand", call.data, sizes(call, *(size or 1 for size in call.settings.integers("shape", ()))))


def broadcast_like(call: Call) -> str:
    """``broadcast_like`` as Expand, along all axes or the chosen ones."""
    data, like = call.inputs
    mine, theirs = call.settings.integers("lhs_axes"), call.settings.integers("rhs_axes")
    if mine is None or theirs is None:
        mine = theirs = tuple(range(data.rank))
    wanted: list[Size] = [1] * data.rank
    for axis, other in zip(mine, theirs):
        wanted[call.axis(axis)] = (like, other % like.rank)
    return call.add("Expand", data, sizes(call, *wanted))


OPERATORS: dict[str, Callable[[Call], str]] = {
    "broadcast_axis": broadcast_axis,
    "broadcast_like": broadcast_like,
    "broadcast_to": broadcast_to,
    "repeat": repeat,
    "tile": tile,
}
