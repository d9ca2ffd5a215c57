"""Sorting. Of equal elements, the first comes first; MXNet leaves their order open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import flat
from export.onnx.sizes import sizes, sizes_of


def topk(call: Call) -> str | list[str]:
    """``topk`` as TopK: values, indices, both, or a mask of them."""
    count, ascending = call.settings.integer("k", 1), call.settings.flag("is_ascend", False)
    kind = call.settings.only("ret_typ", "indices", "value", "both", "mask")
    call.settings.ignore("dtype")
    if kind == "value":
        return _sorted(call, count, ascending, call.name)[0]
    values, index = _sorted(call, count, ascending)
    if kind == "mask":
        return _mask(call, index)
    indices = call.add("Cast", index, suffix="indices" * (kind == "both"), to=np.dtype(call.outputs[-1][1]))
    return [values, indices] if kind == "both" else indices


def sort(call: Call) -> str:
    """``sort`` as the values of TopK, of all elements."""
    return _sorted(call, 0, call.settings.flag("is_ascend", True), call.name)[0]


def argsort(call: Call) -> str:
    """``argsort`` as the indices of TopK, of all elements."""
    _, index = _sorted(call, 0, call.settings.flag("is_ascend", True))
    call.settings.ignore("dtype")
    return call.add("Cast", index, to=np.dtype(call.outputs[0][1]))


def _sorted(call: Call, count: int, ascending: bool, values: str | None = None) -> tuple[str, str]:
    """Return the first ``count`` values, all if it is not positive, and their indices."""
    data, axis = _along(call)
    names = [values or call.graph.unique(f"{call.name}_values"), call.graph.unique(f"{call.name}_index")]
    wanted = sizes(call, count if count > 0 else (data, axis))
    call.graph.add("TopK", [data, wanted], names, axis=axis, largest=int(not ascending))
    return names[0], names[1]


def _along(call: Call) -> tuple[Tensor, int]:
    """Return the data and the axis to sort along; without an axis, the data are flattened."""
    axis = call.settings.get("axis", -1)
    if isinstance(axis, int):
        return call.data, call.axis(axis)
    return flat(call), 0


def _mask(call: Call, index: str) -> str:
    data, axis = _along(call)
    zeros = call.add("Expand", call.number("zero", 0), sizes_of(call, data), suffix="zeros")
    ones = call.add("Expand", call.number("one", 1), call.add("Shape", index, suffix="shape"), suffix="ones")
    if data is call.data:
        return call.add("ScatterElements", zeros, index, ones, axis=axis)
    mask = call.add("ScatterElements", zeros, index, ones, suffix="mask", axis=axis)
    return call.add("Reshape", mask, sizes_of(call, call.data))


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {"argsort": argsort, "sort": sort, "topk": topk}
