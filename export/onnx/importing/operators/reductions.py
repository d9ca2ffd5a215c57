"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from export.onnx.importing.graph import Call, Refusal, Tensor


def _reduction(operator: str, **attributes: object) -> Callable[[Call], Tensor]:
    def translate(call: Call) -> Tensor:
        data, given = call.data, call.constants("axes", 1)
        keep, nothing = bool(call.get("keepdims", 1)), bool(call.get("noop_with_empty_axes", 0))
        if not given and nothing:
            raise Refusal("it reduces no axis")
        axes = tuple(sorted(call.axis(each) for each in given or range(data.rank)))
        if not keep and len(axes) == data.rank:
            raise Refusal("it leaves no dimension, and MXNet has no scalars")
        return call.add(operator, data, axis=axes, keepdims=keep, **attributes)

    return translate


def _index(operator: str) -> Callable[[Call], Tensor]:
    """``ArgMax`` and ``ArgMin``, whose indices MXNet keeps as floats."""

    def translate(call: Call) -> Tensor:
        call.only("select_last_index", 0)
        data, keep = call.data, bool(call.get("keepdims", 1))
        if data.rank == 1 and not keep:
            raise Refusal("it leaves no dimension, and MXNet has no scalars")
        found = call.add(operator, data, axis=call.axis(call.get("axis", 0)), keepdims=keep)
        return replace(found, dtype=np.dtype(np.int64))

    return translate


OPERATORS = {
    "ArgMax": _index("argmax"),
    "ArgMin": _index("argmin"),
    "ReduceL1": _reduction("norm", ord=1),
    "ReduceL2": _reduction("norm", ord=2),
    "ReduceMax": _reduction("max"),
    "ReduceMean": _reduction("mean"),
    "ReduceMin": _reduction("min"),
    "ReduceProd": _reduction("prod"),
    "ReduceSum": _reduction("sum"),
}
