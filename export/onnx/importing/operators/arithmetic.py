"""Two operands or more: tensors, or a tensor and a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from export.onnx.importing.graph import FLOAT32, Call, Refusal, Tensor


@dataclass(frozen=True)
class Binary:
    """The names that MXNet has for an operator, by its operands."""

    same: str  # two tensors of the same shape
    broadcast: str
    scalar: str  # a tensor and a number
    reverse: str  # a number and a tensor

    def __call__(self, call: Call) -> Tensor:
        """Translate an operation of two operands."""
        return self.apply(call, call.input(0), call.input(1))

    def apply(self, call: Call, left: Tensor, right: Tensor) -> Tensor:
        """Append the operator for ``left`` and ``right``."""
        if _is_number(right, left):
            return call.add(self.scalar, call.in_network(left), scalar=_number(right))
        if _is_number(left, right):
            return call.add(self.reverse, right, scalar=_number(left))
        left, right = call.in_network(left), call.in_network(right)
        return call.add(self.same if left.shapes == right.shapes else self.broadcast, left, right)


def _is_number(tensor: Tensor, other: Tensor) -> bool:
    return tensor.is_constant and not tensor.depends and tensor.value.size == 1 and tensor.rank <= other.rank


def _number(tensor: Tensor) -> float:
    number = float(tensor.value.reshape(()))
    if not np.isfinite(number):
        raise Refusal(f"{tensor.name} is {number}")
    return number


def _symmetric(same: str, broadcast: str, scalar: str) -> Binary:
    return Binary(same, broadcast, scalar, scalar)


_ADD = _symmetric("elemwise_add", "broadcast_add", "_plus_scalar")


def _variadic(binary: Binary) -> Callable[[Call], Tensor]:
    def translate(call: Call) -> Tensor:
        result = call.input(0)
        for number in range(1, len(call.inputs)):
            result = binary.apply(call, result, call.input(number))
        return result

    return translate


def where(call: Call) -> Tensor:
    """``Where`` as where, of tensors that have the condition's shape, and numbers."""
    condition = call.computed(0)
    chosen = []
    for each in (call.input(1), call.input(2)):
        if _is_number(each, condition):
            each = call.add("_mul_scalar", call.add("ones_like", condition), scalar=_number(each))
        elif each.shapes != condition.shapes:
            raise Refusal(f"{each.name} and the condition have different shapes")
        chosen.append(replace(call.in_network(each), dtype=FLOAT32))
    return replace(call.add("where", condition, *chosen), dtype=FLOAT32)


def _comparison(name: str, reverse: str | None = None) -> Callable[[Call], Tensor]:
    """Comparisons, which are 1 and 0 in MXNet."""
    scalar = f"_{name}_scalar"
    binary = Binary(f"broadcast_{name}", f"broadcast_{name}", scalar, f"_{reverse or name}_scalar")

    def translate(call: Call) -> Tensor:
        return replace(binary(call), dtype=np.dtype(bool))

    return translate


OPERATORS: dict[str, Callable[[Call], Tensor]] = {
    "Add": _ADD,
    "Div": Binary("elemwise_div", "broadcast_div", "_div_scalar", "_rdiv_scalar"),
    "Equal": _comparison("equal"),
    "Greater": _comparison("greater", reverse="lesser"),
    "GreaterOrEqual": _comparison("greater_equal", reverse="lesser_equal"),
    "Less": _comparison("lesser", reverse="greater"),
    "LessOrEqual": _comparison("lesser_equal", reverse="greater_equal"),
    "Max": _variadic(_symmetric("_maximum", "broadcast_maximum", "_maximum_scalar")),
    "Min": _variadic(_symmetric("_minimum", "broadcast_minimum", "_minimum_scalar")),
    "Mul": _symmetric("elemwise_mul", "broadcast_mul", "_mul_scalar"),
    "Pow": Binary("_power", "broadcast_power", "_power_scalar", "_rpower_scalar"),
    "Sub": Binary("elemwise_sub", "broadcast_sub", "_minus_scalar", "_rminus_scalar"),
    "Sum": _variadic(_ADD),
    "Where": where,
}
