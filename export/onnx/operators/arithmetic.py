"""Two operands: tensors, or a tensor and a number."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor


def _binary(operator: str) -> Callable[[Call], str]:
    return lambda call: call.add(operator, *call.inputs)


def _scalar(operator: str, reverse: bool = False) -> Callable[[Call], str]:
    def translate(call: Call) -> str:
        if not np.issubdtype(call.data.dtype, np.floating):
            raise call.refusal(f"its data are {call.data.dtype}, and arithmetic with numbers is translated for floats")
        call.settings.ignore("is_int")
        number = call.number("scalar", call.settings.number("scalar", 1.0))
        return call.add(operator, number, call.data) if reverse else call.add(operator, call.data, number)

    return translate


def _comparison(operator: str, scalar: bool = False) -> Callable[[Call], str]:
    """Comparisons, as 1 and 0 in the data's dtype, as in MXNet."""

    def translate(call: Call) -> str:
        other: Tensor | str = call.number("scalar", call.settings.number("scalar", 1.0)) if scalar else call.inputs[1]
        call.settings.ignore("is_int")
        truth = call.add(operator, call.data, other, suffix="truth")
        return call.add("Cast", truth, to=np.dtype(call.data.dtype))

    return translate


def _sum(call: Call) -> str:
    call.settings.ignore("num_args")
    return call.add("Add" if len(call.inputs) == 2 else "Sum", *call.inputs)


def div_sqrt_dim(call: Call) -> str:
    """``_contrib_div_sqrt_dim``: a division by the root of the last axis's size."""
    size = call.data.shape[-1]
    if not isinstance(size, int):
        raise call.refusal("the size of its last axis is not fixed")
    return call.add("Div", call.data, call.number("root", math.sqrt(size)))


OPERATORS = {
    "_contrib_div_sqrt_dim": div_sqrt_dim,
    "_div_scalar": _scalar("Div"),
    "_equal_scalar": _comparison("Equal", scalar=True),
    "_greater_scalar": _comparison("Greater", scalar=True),
    "_lesser_scalar": _comparison("Less", scalar=True),
    "_maximum": _binary("Max"),
    "_maximum_scalar": _scalar("Max"),
    "_minimum": _binary("Min"),
    "_minimum_scalar": _scalar("Min"),
    "_minus_scalar": _scalar("Sub"),
    "_mul_scalar": _scalar("Mul"),
    "_plus_scalar": _scalar("Add"),
    "_power": _binary("Pow"),
    "_power_scalar": _scalar("Pow"),
    "_rdiv_scalar": _scalar("Div", reverse=True),
    "_rminus_scalar": _scalar("Sub", reverse=True),
    "_rpower_scalar": _scalar("Pow", reverse=True),
    "add_n": _sum,
    "broadcast_add": _binary("Add"),
    "broadcast_div": _binary("Div"),
    "broadcast_equal": _comparison("Equal"),
    "broadcast_greater": _comparison("Greater"),
    "broadcast_lesser": _comparison("Less"),
    "broadcast_maximum": _binary("Max"),
    "broadcast_minimum": _binary("Min"),
    "broadcast_mul": _binary("Mul"),
    "broadcast_power": _binary("Pow"),
    "broadcast_sub": _binary("Sub"),
    "elemwise_add": _binary("Add"),
    "elemwise_div": _binary("Div"),
    "elemwise_mul": _binary("Mul"),
    "elemwise_sub": _binary("Sub"),
}
