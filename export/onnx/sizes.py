"""Sizes as tensors: constants if they are known, computed in the graph if they depend on the batch."""

from __future__ import annotations

from typing import Union

from export.onnx.graph import Call, Tensor

Size = Union[int, tuple[Tensor, int]]  # a number, or a tensor and the axis that has this size


def sizes(call: Call, *wanted: Size) -> str:
    """Return the sizes as an int64 tensor of one dimension."""
    known = [each if isinstance(each, int) else each[0].shape[each[1]] for each in wanted]
    numbers = [each for each in known if isinstance(each, int)]
    if len(numbers) == len(known):
        return call.integers("sizes", numbers)
    parts = [call.integers("size", [each]) if isinstance(each, int) else _computed(call, *each) for each in wanted]
    return call.add("Concat", *parts, suffix="sizes", axis=0) if len(parts) > 1 else parts[0]


def sizes_of(call: Call, tensor: Tensor) -> str:
    """Return the shape of ``tensor`` as an int64 tensor."""
    known = [size for size in tensor.shape if isinstance(size, int)]
    return call.integers("sizes", known) if len(known) == tensor.rank else call.add("Shape", tensor, suffix="shape")


def _computed(call: Call, tensor: Tensor, axis: int) -> str:
    shape = call.add("Shape", tensor, suffix="shape")
    return call.add("Gather", shape, call.integers("axis", [axis]), suffix="size", axis=0)
