"""Operators that pick elements by index, or by condition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.sizes import sizes

_INDEX = np.dtype(np.int64)


def _within(call: Call, index: Tensor, axis: int, mode: str) -> str:
    """Return ``index`` as int64, clipped to the size of the data's ``axis`` or wrapped around at it."""
    whole = call.add("Cast", index, suffix="whole", to=_INDEX)
    size = sizes(call, (call.data, axis))
    if mode == "wrap":
        return call.add("Mod", whole, size, suffix="index")
    last = call.add("Sub", size, call.integers("one", [1]), suffix="last")
    raised = call.add("Max", whole, call.integers("first", [0]), suffix="raised")
    return call.add("Min", raised, last, suffix="index")


def take(call: Call) -> str:
    """``take`` as Gather, with indices that are clipped or wrapped as MXNet does."""
    axis = call.axis(call.settings.integer("axis", 0))
    mode = call.settings.only("mode", "clip", "wrap")
    return call.add("Gather", call.data, _within(call, call.inputs[1], axis, mode), axis=axis)


def pick(call: Call) -> str:
    """``pick`` as GatherElements: one element along the axis for each position."""
    axis = call.axis(call.settings.integer("axis", -1))
    keep, mode = call.settings.flag("keepdims", False), call.settings.only("mode", "clip", "wrap")
    index = _within(call, call.inputs[1], axis, mode)
    axes = call.integers("axes", [axis])
    if call.inputs[1].rank < call.data.rank:
        index = call.add("Unsqueeze", index, axes, suffix="index")
    if keep:
        return call.add("GatherElements", call.data, index, axis=axis)
    return call.add("Squeeze", call.add("GatherElements", call.data, index, suffix="picked", axis=axis), axes)


def batch_take(call: Call) -> str:
    """``batch_take`` as GatherElements: one element of each row."""
    axes = call.integers("axes", [1])
    index = call.add("Unsqueeze", _within(call, call.inputs[1], 1, "clip"), axes, suffix="index")
    return call.add("Squeeze", call.add("GatherElements", call.data, index, suffix="taken", axis=1), axes)


def gather_nd(call: Call) -> str:
    """``gather_nd`` as GatherND, for which the coordinates move from the first axis to the last."""
    return call.add("GatherND", call.data, _coordinates(call, call.inputs[1]))


def scatter_nd(call: Call) -> str:
    """``scatter_nd`` as ScatterND into zeros."""
    shape = call.integers("shape", call.settings.integers("shape", ()))
    zeros = call.add("Expand", call.number("zero", 0), shape, suffix="zeros")
    return call.add("ScatterND", zeros, _coordinates(call, call.inputs[1]), call.data)


def _coordinates(call: Call, index: Tensor) -> str:
    whole = call.add("Cast", index, suffix="whole", to=_INDEX)
    return call.add("Transpose", whole, suffix="index", perm=[*range(1, index.rank), 0])


def one_hot(call: Call) -> str:
    """``one_hot`` as a comparison with 0, 1, 2, …: unlike OneHot, it leaves out negative indices."""
    settings = call.settings
    settings.ignore("dtype")
    on, off = settings.number("on_value", 1.0), settings.number("off_value", 0.0)
    whole = call.add("Cast", call.data, suffix="whole", to=_INDEX)
    column = call.add("Unsqueeze", whole, call.integers("axes", [-1]), suffix="column")
    hot = call.add("Equal", column, call.integers("positions", range(settings.integer("depth", 0))), suffix="hot")
    dtype = call.outputs[0][1]
    return call.add("Where", hot, call.constant("on", on, dtype), call.constant("off", off, dtype))


def where(call: Call) -> str:
    """``where`` as Where; a condition of one dimension chooses among rows."""
    condition, yes, no = call.inputs
    chosen = call.add("Cast", condition, suffix="condition", to=np.dtype(bool))
    if condition.rank < yes.rank:
        chosen = call.add("Unsqueeze", chosen, call.integers("axes", range(1, yes.rank)), suffix="rows")
    return call.add("Where", chosen, yes, no)


OPERATORS: dict[str, Callable[[Call], str]] = {
    "batch_take": batch_take,
    "gather_nd": gather_nd,
    "one_hot": one_hot,
    "pick": pick,
    "scatter_nd": scatter_nd,
    "take": take,
    "where": where,
}
