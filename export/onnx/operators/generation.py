"""Operators that generate numbers, from nothing or from the shape of a tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import BATCH, Call, Tensor
from export.onnx.parts import flat
from export.onnx.sizes import Size, sizes, sizes_of


def _filled(value: float | None = None) -> Callable[[Call], str]:
    """``_zeros`` and similar: an array of one value, in a shape that is set or that MXNet infers from its use."""

    def translate(call: Call) -> str:
        call.settings.ignore("shape", "ctx", "dtype")
        held = call.settings.number("value", 0.0) if value is None else value
        return call.add("Expand", call.constant("value", held, call.outputs[0][1]), sizes(call, *_shape(call)))

    return translate


def _shape(call: Call) -> list[Size]:
    if None in call.shape:
        raise call.refusal("a size of its output depends on the batch size, but is another")
    data = Tensor(call.graph.data, (BATCH,), np.dtype(np.float32))  # whose first axis is the batch
    return [each if isinstance(each, int) else (data, 0) for each in call.shape]


def _like(value: float) -> Callable[[Call], str]:
    """``zeros_like`` and ``ones_like``, in the dtype of the data: MXNet takes a ``dtype`` and does not read it."""

    def translate(call: Call) -> str:
        call.settings.ignore("dtype", "ctx")
        return call.add("Expand", call.number("value", value), sizes_of(call, call.data))

    return translate


def arange(call: Call) -> str:
    """``_arange`` as a constant, or computed if it has as many numbers as the batch has items."""
    settings = call.settings
    infers = settings.flag("infer_range", False)
    only_stop = settings.get("stop") in (None, "None") and not infers
    start = 0.0 if only_stop else settings.number("start", 0.0)
    settings.ignore("start", "ctx", "dtype")
    (size,) = _shape(call)
    return _progression(call, start, size)


def arange_like(call: Call) -> str:
    """``_contrib_arange_like``, as many numbers as the data have along an axis, or as they have elements."""
    settings = call.settings
    settings.ignore("ctx")
    start, axis = settings.number("start", 0.0), settings.get("axis")
    if isinstance(axis, int):
        return _progression(call, start, (call.data, call.axis(axis)))
    numbers = _progression(call, start, (flat(call), 0), suffix="numbers")
    return call.add("Reshape", numbers, sizes_of(call, call.data))


def _progression(call: Call, start: float, size: Size, suffix: str = "") -> str:
    """Return ``size`` numbers from ``start`` on, at a distance of ``step``, each ``repeat`` times."""
    step, repeat, dtype = call.settings.number("step", 1.0), call.settings.integer("repeat", 1), call.outputs[0][1]
    count = call.add("Squeeze", sizes(call, size), suffix="count")
    zero, one = (call.constant(name, number, np.int64) for name, number in (("zero", 0), ("one", 1)))
    index = call.add("Range", zero, count, one, suffix="index")
    if repeat > 1:
        index = call.add("Div", index, call.constant("repeat", repeat, np.int64), suffix="index")
    steps = call.add("Cast", index, suffix="steps", to=np.dtype(dtype))
    scaled = call.add("Mul", steps, call.constant("step", step, dtype), suffix="scaled")
    return call.add("Add", scaled, call.constant("start", start, dtype), suffix=suffix)


def linspace(call: Call) -> str:
    """``_linspace`` as a constant."""
    settings = call.settings
    settings.ignore("ctx", "dtype")
    count, endpoint = settings.integer("num", 0), settings.flag("endpoint", True)
    start, stop = settings.number("start", 0.0), settings.number("stop", 0.0)
    return call.constant("numbers", np.linspace(start, stop, count, endpoint), call.outputs[0][1])


def eye(call: Call) -> str:
    """``_eye`` as a constant."""
    settings = call.settings
    settings.ignore("ctx", "dtype")
    rows, columns = settings.integer("N", 0), settings.integer("M", 0)
    return call.constant("matrix", np.eye(rows, columns or rows, settings.integer("k", 0)), call.outputs[0][1])


def size_array(call: Call) -> str:
    """``size_array``, the number of elements, as Size."""
    count = call.add("Size", call.data, suffix="count")
    return call.add("Unsqueeze", count, call.integers("axes", [0]))


OPERATORS: dict[str, Callable[[Call], str]] = {
    "_arange": arange,
    "_contrib_arange_like": arange_like,
    "_eye": eye,
    "_full": _filled(),
    "_linspace": linspace,
    "_ones": _filled(1.0),
    "_zeros": _filled(0.0),
    "ones_like": _like(1.0),
    "shape_array": lambda call: call.add("Shape", call.data),
    "size_array": size_array,
    "zeros_like": _like(0.0),
}
