"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import norm_of, reduced


def _axes(call: Call) -> list[int]:
    given = call.settings.integers("axis")
    axes: Collection[int] = range(call.data.rank) if given is None else [call.axis(value) for value in given]
    if call.settings.flag("exclude", False) and given is not None:
        axes = set(range(call.data.rank)) - set(axes)
    if not axes:
        raise call.refusal("it reduces no axis")
    return sorted(axes)


def _reduce(call: Call, operator: str, data: Tensor | str, suffix: str = "") -> str:
    axes, keep = _axes(call), call.settings.flag("keepdims", False)
    if keep or len(axes) < call.data.rank:
        return reduced(call, operator, data, axes, keep, suffix)
    scalar = reduced(call, operator, data, axes, keep, "scalar")
    return call.add("Reshape", scalar, call.integers("shape", [1]), suffix=suffix)  # MXNet leaves one dimension


def _reduction(operator: str) -> Callable[[Call], str]:
    def translate(call: Call) -> str:
        call.settings.only("dtype", None, "float32")
        return _reduce(call, operator, call.data)

    return translate


def norm(call: Call) -> str:
    """``norm`` as the sum of sizes, or the root of the sum of squares."""
    call.settings.only("out_dtype", None)
    order = call.settings.only("ord", 2, 1)
    if not np.issubdtype(call.data.dtype, np.floating):
        raise call.refusal(f"its data are {call.data.dtype}, and norms are translated for floats")
    return norm_of(call, order, lambda data, suffix: _reduce(call, "ReduceSum", data, suffix))


def _index(operator: str) -> Callable[[Call], str]:
    """ArgMax and ArgMin, with the index as a float, as in MXNet."""

    def translate(call: Call) -> str:
        axis, keep = call.settings.get("axis"), call.settings.flag("keepdims", False)
        if not isinstance(axis, int):
            raise call.refusal("without an axis, it indexes the flattened array")
        index = call.add(operator, call.data, suffix="index", axis=call.axis(axis), keepdims=int(keep))
        return call.add("Cast", index, to=np.dtype(call.outputs[0][1]))

    return translate


OPERATORS = {
    "argmax": _index("ArgMax"),
    "argmin": _index("ArgMin"),
    "max": _reduction("ReduceMax"),
    "mean": _reduction("ReduceMean"),
    "min": _reduction("ReduceMin"),
    "norm": norm,
    "prod": _reduction("ReduceProd"),
    "sum": _reduction("ReduceSum"),
}
