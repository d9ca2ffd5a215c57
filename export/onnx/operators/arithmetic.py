"""Two operands: tensors, or a tensor and a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor


def _binary(operator: str) -> Callable[[Call], str]:
    return lambda call: call.add(operator, *call.inputs)


def _number(call: Call) -> str:
    """Return the number that is the second operand."""
    number = call.settings.number("scalar", 1.0)
    call.settings.ignore("is_int")
    if not np.issubdtype(call.data.dtype, np.floating) and not number.is_integer():
        raise call.refusal(f"its data are {call.data.dtype}, and its number is {number}")
    return call.number("scalar", number)


def _scalar(operator: str, reverse: bool = False) -> Callable[[Call], str]:
    def translate(call: Call) -> str:
        number = _number(call)
        return call.add(operator, number, call.data) if reverse else call.add(operator, call.data, number)

    return translate


def _operands(call: Call) -> tuple[Tensor | str, Tensor | str]:
    return call.data, _number(call) if call.operator.endswith("_scalar") else call.inputs[1]


def _comparison(operator: str, opposite: bool = False) -> Callable[[Call], str]:
    """Comparisons, as 1 and 0 in the data's dtype, as in MXNet."""

    def translate(call: Call) -> str:
        truth = call.add(operator, *_operands(call), suffix="truth")
        if opposite:
            truth = call.add("Not", truth, suffix="opposite")
        return call.add("Cast", truth, to=np.dtype(call.data.dtype))

    return translate


def _logical(operator: str) -> Callable[[Call], str]:
    """Logic of numbers, where all but 0 are true."""

    def translate(call: Call) -> str:
        left, right = (call.add("Cast", each, suffix="truth", to=np.dtype(bool)) for each in _operands(call))
        return call.add("Cast", call.add(operator, left, right, suffix="both"), to=np.dtype(call.data.dtype))

    return translate


def _not(call: Call) -> str:
    truth = call.add("Cast", call.data, suffix="truth", to=np.dtype(bool))
    return call.add("Cast", call.add("Not", truth, suffix="opposite"), to=np.dtype(call.outputs[0][1]))


def _modulo(call: Call) -> str:
    """The remainder with the sign of the divisor, as in Python, and 0 for divisors of 0."""
    left, right = _operands(call)
    if call.operator.endswith("rmod_scalar"):
        left, right = right, left
    zero = call.number("zero", 0)
    is_zero = call.add("Equal", right, zero, suffix="is_zero")
    if np.issubdtype(call.data.dtype, np.floating):
        rest = _float_rest(call, left, right, zero)
    else:  # ONNX's own of integers, for which a runtime may divide by 0 and end
        divisor = call.add("Where", is_zero, call.number("one", 1), right, suffix="divisor")
        rest = call.add("Mod", left, divisor, suffix="rest")
    return call.add("Where", is_zero, zero, rest)


def _float_rest(call: Call, left: Tensor | str, right: Tensor | str, zero: str) -> str:
    rest = call.add("Mod", left, right, suffix="rest", fmod=1)  # with the sign of the dividend
    signs = [call.add("Less", each, zero, suffix="is_negative") for each in (rest, right)]
    is_exact = call.add("Equal", rest, zero, suffix="is_exact")
    is_other = call.add("Xor", *signs, suffix="is_other")
    shifts = call.add("And", is_other, call.add("Not", is_exact, suffix="is_rest"), suffix="shifts")
    return call.add("Where", shifts, call.add("Add", rest, right, suffix="sum"), rest, suffix="shifted")


def _sum(call: Call) -> str:
    call.settings.ignore("num_args")
    return call.add("Add" if len(call.inputs) == 2 else "Sum", *call.inputs)


def _forms(translate: Callable[[Call], str], name: str) -> dict[str, Callable[[Call], str]]:
    """Return the three operators of one function: of equal shapes, of shapes that are broadcast, and of a number."""
    return dict.fromkeys((f"_{name}", f"broadcast_{name}", f"_{name}_scalar"), translate)


OPERATORS = {
    **_forms(_comparison("Equal"), "equal"),
    **_forms(_comparison("Equal", opposite=True), "not_equal"),
    **_forms(_comparison("Greater"), "greater"),
    **_forms(_comparison("GreaterOrEqual"), "greater_equal"),
    **_forms(_comparison("Less"), "lesser"),
    **_forms(_comparison("LessOrEqual"), "lesser_equal"),
    **_forms(_logical("And"), "logical_and"),
    **_forms(_logical("Or"), "logical_or"),
    **_forms(_logical("Xor"), "logical_xor"),
    **_forms(_modulo, "mod"),
    "_div_scalar": _scalar("Div"),
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
    "_rmod_scalar": _modulo,
    "_rpower_scalar": _scalar("Pow", reverse=True),
    "add_n": _sum,
    "broadcast_add": _binary("Add"),
    "broadcast_div": _binary("Div"),
    "broadcast_maximum": _binary("Max"),
    "broadcast_minimum": _binary("Min"),
    "broadcast_mul": _binary("Mul"),
    "broadcast_power": _binary("Pow"),
    "broadcast_sub": _binary("Sub"),
    "elemwise_add": _binary("Add"),
    "elemwise_div": _binary("Div"),
    "elemwise_mul": _binary("Mul"),
    "elemwise_sub": _binary("Sub"),
    "logical_not": _not,
}
