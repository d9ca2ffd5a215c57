"""Elementwise functions of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call
from export.onnx.parts import cube_root, scaled


def _plain(operator: str) -> Callable[[Call], str]:
    return lambda call: call.add(operator, call.data)


def _times(factor: float) -> Callable[[Call], str]:
    return lambda call: scaled(call, call.data, factor)


def _logarithm(base: float) -> Callable[[Call], str]:
    return lambda call: scaled(call, call.add("Log", call.data, suffix="log"), 1 / math.log(base))


def _square(call: Call) -> str:
    return call.add("Mul", call.data, call.data)


def _rsqrt(call: Call) -> str:
    return call.add("Reciprocal", call.add("Sqrt", call.data, suffix="sqrt"))


def _rcbrt(call: Call) -> str:
    return call.add("Reciprocal", cube_root(call, call.data, "cbrt"))


def _log1p(call: Call) -> str:
    """``log1p`` as log(u) · x / (u - 1) of u = 1 + x, whose errors cancel; as x where u is 1, log(u) where u is x."""
    raised = call.add("Add", call.data, call.number("one", 1), suffix="raised")
    logarithm = call.add("Log", raised, suffix="log")
    rounded = call.add("Sub", raised, call.number("one", 1), suffix="rounded")
    exact = call.add("Div", call.add("Mul", logarithm, call.data, suffix="product"), rounded, suffix="exact")
    is_one = call.add("Equal", rounded, call.number("zero", 0), suffix="is_one")
    is_large = call.add("Equal", raised, call.data, suffix="is_large")
    return call.add("Where", is_one, call.data, call.add("Where", is_large, logarithm, exact, suffix="log1p"))


def _expm1(call: Call) -> str:
    """``expm1`` as tanh(x / 2) · (exp(x) + 1), which loses no digits near 0."""
    half = call.add("Tanh", scaled(call, call.data, 0.5, "half"), suffix="tanh")
    raised = call.add("Add", call.add("Exp", call.data, suffix="exp"), call.number("one", 1), suffix="raised")
    return call.add("Mul", half, raised)


def _rint(call: Call) -> str:
    """``rint`` to the nearest integer, and to the one below from the middle."""
    floor, ceil = call.add("Floor", call.data, suffix="floor"), call.add("Ceil", call.data, suffix="ceil")
    down, up = call.add("Sub", call.data, floor, suffix="down"), call.add("Sub", ceil, call.data, suffix="up")
    return call.add("Where", call.add("LessOrEqual", down, up, suffix="is_below"), floor, ceil)


def _trunc(call: Call) -> str:
    size = call.add("Floor", call.add("Abs", call.data, suffix="size"), suffix="floor")
    return call.add("Mul", call.add("Sign", call.data, suffix="sign"), size)


def _round(call: Call) -> str:
    """``round`` to the nearest integer, and away from 0 from the middle."""
    size = call.add("Abs", call.data, suffix="size")
    floor = call.add("Floor", size, suffix="floor")
    rest = call.add("Sub", size, floor, suffix="rest")
    is_below = call.add("Less", rest, call.number("half", 0.5), suffix="is_below")
    above = call.add("Add", floor, call.number("one", 1), suffix="above")
    rounded = call.add("Where", is_below, floor, above, suffix="rounded")
    return call.add("Mul", call.add("Sign", call.data, suffix="sign"), rounded)


def _smooth_l1(call: Call) -> str:
    """``smooth_l1`` as a parabola around 0 and lines beyond it, with ``scalar`` for sigma."""
    sigma = call.settings.number("scalar", 1.0)
    call.settings.ignore("is_int")
    if sigma == 0:
        raise call.refusal("its scalar is 0")
    size = call.add("Abs", call.data, suffix="size")
    is_far = call.add("Greater", size, call.number("bound", sigma**-2), suffix="is_far")
    line = call.add("Sub", size, call.number("shift", 0.5 * sigma**-2), suffix="line")
    parabola = scaled(call, call.add("Mul", call.data, call.data, suffix="square"), 0.5 * sigma**2, "parabola")
    return call.add("Where", is_far, line, parabola)


def _cast(call: Call) -> str:
    _, dtype = call.outputs[0]
    call.settings.ignore("dtype")
    return call.data.name if dtype == call.data.dtype else call.add("Cast", call.data, to=np.dtype(dtype))


def _same(call: Call) -> str:
    call.settings.ignore("grad_scale", "valid_thresh", "normalization")
    return call.data.name


OPERATORS = {
    "BlockGrad": _same,
    "Cast": _cast,
    "MakeLoss": _same,
    "_copy": _same,
    "abs": _plain("Abs"),
    "arccos": _plain("Acos"),
    "arccosh": _plain("Acosh"),
    "arcsin": _plain("Asin"),
    "arcsinh": _plain("Asinh"),
    "arctan": _plain("Atan"),
    "arctanh": _plain("Atanh"),
    "cbrt": lambda call: cube_root(call, call.data),
    "ceil": _plain("Ceil"),
    "cos": _plain("Cos"),
    "cosh": _plain("Cosh"),
    "degrees": _times(180 / math.pi),
    "erf": _plain("Erf"),
    "exp": _plain("Exp"),
    "expm1": _expm1,
    "fix": _trunc,
    "floor": _plain("Floor"),
    "log": _plain("Log"),
    "log10": _logarithm(10),
    "log1p": _log1p,
    "log2": _logarithm(2),
    "make_loss": _same,
    "negative": _plain("Neg"),
    "radians": _times(math.pi / 180),
    "rcbrt": _rcbrt,
    "reciprocal": _plain("Reciprocal"),
    "rint": _rint,
    "round": _round,
    "rsqrt": _rsqrt,
    "sign": _plain("Sign"),
    "sin": _plain("Sin"),
    "sinh": _plain("Sinh"),
    "smooth_l1": _smooth_l1,
    "sqrt": _plain("Sqrt"),
    "square": _square,
    "tan": _plain("Tan"),
    "trunc": _trunc,
}
