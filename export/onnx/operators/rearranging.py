"""Operators that cut and rearrange, where the shape often comes from another tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call
from export.onnx.parts import flipped
from export.onnx.sizes import Size, sizes


def slice_like(call: Call) -> str:
    """``slice_like`` as Slice to the sizes of the second input, along all axes or the chosen ones."""
    data, like = call.inputs
    axes = [call.axis(axis) for axis in call.settings.integers("axes", tuple(range(data.rank)))]
    ends = sizes(call, *((like, axis) for axis in axes))
    return call.add("Slice", data, call.integers("starts", [0] * len(axes)), ends, call.integers("axes", axes))


def reshape_like(call: Call) -> str:
    """``reshape_like`` as Reshape: a range of the axes gets the sizes of a range of the other's axes."""
    data, like = call.inputs
    mine, theirs = (_range(call, side, tensor.rank) for side, tensor in (("lhs", data), ("rhs", like)))
    kept = [(data, axis) for axis in range(data.rank)]
    wanted: list[Size] = [*kept[: mine.start], *((like, axis) for axis in theirs), *kept[mine.stop :]]
    return call.add("Reshape", data, sizes(call, *wanted))


def _range(call: Call, side: str, rank: int) -> range:
    begin, end = (call.settings.get(f"{side}_{bound}") for bound in ("begin", "end"))
    bounds = slice(*(each if isinstance(each, int) else None for each in (begin, end)))
    return range(rank)[bounds]


def reverse(call: Call) -> str:
    """``reverse`` as Slice from the end to the start."""
    return flipped(call, [call.axis(axis) for axis in call.settings.integers("axis", ())])


def depth_to_space(call: Call) -> str:
    """``depth_to_space`` as DepthToSpace, in the order of both, depth first."""
    return call.add("DepthToSpace", call.data, blocksize=call.settings.integer("block_size", 1), mode="DCR")


def space_to_depth(call: Call) -> str:
    """``space_to_depth`` as SpaceToDepth."""
    return call.add("SpaceToDepth", call.data, blocksize=call.settings.integer("block_size", 1))


def diag(call: Call) -> str:
    """``diag`` of two or more dimensions as Gather from the two axes, flattened into one."""
    settings = call.settings
    if call.data.rank < 2:
        raise call.refusal("its data have one dimension, and only taking a diagonal is translated")
    offset = settings.integer("k", 0)
    first, second = call.axis(settings.integer("axis1", 0)), call.axis(settings.integer("axis2", 1))
    rows, columns = call.data.shape[first], call.data.shape[second]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise call.refusal("the size of its matrices is not fixed")
    others = [axis for axis in range(call.data.rank) if axis not in (first, second)]
    turned = call.add("Transpose", call.data, suffix="turned", perm=[*others, first, second])
    flat = call.add("Reshape", turned, call.integers("flat", [0] * len(others) + [-1]), suffix="flat")
    numbers = np.arange(rows * columns).reshape(rows, columns).diagonal(offset)
    return call.add("Gather", flat, call.integers("index", numbers.tolist()), axis=len(others))


OPERATORS: dict[str, Callable[[Call], str]] = {
    "depth_to_space": depth_to_space,
    "diag": diag,
    "reshape_like": reshape_like,
    "reverse": reverse,
    "slice_like": slice_like,
    "space_to_depth": space_to_depth,
}
