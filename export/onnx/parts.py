"""What several translations are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from export.onnx.graph import BATCH, Call, Shape, Tensor


def fixed(call: Call, shape: Shape) -> tuple[int, ...]:
    """Return ``shape``; refuses the operator if a size depends on the batch."""
    sizes = tuple(size for size in shape if isinstance(size, int))
    if len(sizes) < len(shape):
        raise call.refusal("the size of its input is not fixed")
    return sizes


def along(call: Call, vector: Tensor, axis: int) -> Tensor | str:
    """Give ``vector`` as many dimensions as it needs to be broadcast along ``axis`` of the data."""
    shape = (-1, *[1] * (call.data.rank - 1 - axis))
    if len(shape) == 1:
        return vector
    if vector.value is not None:
        return vector.holding(vector.value.reshape(shape))
    return call.add("Reshape", vector, call.integers("along", shape), suffix="reshaped")


def reshaped(call: Call, data: Tensor | str, shape: Shape, suffix: str = "") -> str:
    """Reshape ``data`` to ``shape``, whose first dimension may be the batch, and another may depend on it."""
    kept = call.data.shape[:1] == shape[:1] == (BATCH,)
    sizes = [0 if axis == 0 and kept else size for axis, size in enumerate(shape)]
    target = [size if isinstance(size, int) else -1 for size in sizes]
    if target.count(-1) > 1:
        raise call.refusal("two of its dimensions depend on the batch size")
    return call.add("Reshape", data, call.integers("shape", target), suffix=suffix)


def reduced(
    call: Call, operator: str, data: Tensor | str, axes: Sequence[int], keep: bool = True, suffix: str = ""
) -> str:
    """Reduce ``data`` along ``axes``, which are an input from opset 18 on, and of ReduceSum always."""
    if operator == "ReduceSum" or call.opset >= 18:
        return call.add(operator, data, call.integers("axes", axes), suffix=suffix, keepdims=int(keep))
    return call.add(operator, data, suffix=suffix, axes=list(axes), keepdims=int(keep))


def norm_of(call: Call, order: float, add_up: Callable[[str, str], str]) -> str:
    """Return the norm of the data, 1 or 2; ``add_up`` sums a tensor, and gives the sum a suffix.

    It is no ReduceL1 or ReduceL2, which OpenVINO computes otherwise.
    """
    if order == 1:
        return add_up(call.add("Abs", call.data, suffix="sizes"), "")
    return call.add("Sqrt", add_up(call.add("Mul", call.data, call.data, suffix="squares"), "sum"))


def turned(call: Call, data: Tensor | str, order: Sequence[int], suffix: str = "") -> str:
    """Transpose ``data``."""
    return call.add("Transpose", data, suffix=suffix, perm=list(order))


def cube_root(call: Call, data: Tensor | str, suffix: str = "") -> str:
    """The cube root, which keeps the sign."""
    power = call.add("Pow", call.add("Abs", data, suffix="size"), call.number("third", 1 / 3), suffix="root")
    return call.add("Mul", call.add("Sign", data, suffix="sign"), power, suffix=suffix)


def flipped(call: Call, axes: Sequence[int]) -> str:
    """Reverse the data along ``axes``."""
    bounds = {"starts": [-1], "ends": [np.iinfo(np.int64).min], "steps": [-1]}
    starts, ends, steps = (call.integers(name, value * len(axes)) for name, value in bounds.items())
    return call.add("Slice", call.data, starts, ends, call.integers("axes", axes), steps)


def flat(call: Call) -> Tensor:
    """Return the data as a tensor of one dimension."""
    return Tensor(call.add("Reshape", call.data, call.integers("all", [-1]), suffix="flat"), (None,), call.data.dtype)


def scaled(call: Call, data: Tensor | str, factor: float, suffix: str = "") -> str:
    """Multiply ``data`` by a number."""
    return call.add("Mul", data, call.number("factor", factor), suffix=suffix)
