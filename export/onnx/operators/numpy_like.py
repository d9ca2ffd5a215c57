"""Operators of MXNet's NumPy interface that compute what others do, or what ONNX does as NumPy does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from string import ascii_letters

import numpy as np

from export.onnx.graph import Call, Tensor

Translation = Callable[[Call], "str | list[str]"]

# By the names of NumPy's interface: operators that compute the same and have the same settings.
_ELEMENTWISE = {
    "_npi_absolute": "abs", "_npi_add_scalar": "_plus_scalar", "_npi_mod": "broadcast_mod",
    "_npi_mod_scalar": "_mod_scalar", "_npi_multiply_scalar": "_mul_scalar", "_npi_power_scalar": "_power_scalar",
    "_npi_rmod_scalar": "_rmod_scalar", "_npi_rpower_scalar": "_rpower_scalar",
    "_npi_rsubtract_scalar": "_rminus_scalar", "_npi_rtrue_divide_scalar": "_rdiv_scalar",
    "_npi_subtract_scalar": "_minus_scalar", "_npi_true_divide_scalar": "_div_scalar", "_npx_relu": "relu",
    "_npx_sigmoid": "sigmoid",
    **{f"_npi_{name}": name for name in (
        "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "cbrt", "ceil", "cos", "cosh", "degrees", "exp",
        "expm1", "fix", "floor", "log", "log10", "log1p", "log2", "negative", "radians", "reciprocal", "rint", "sign",
        "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
    )},
}  # fmt: skip
_OTHERS = {
    "_np_copy": "_copy", "_np_squeeze": "squeeze", "_np_transpose": "transpose", "_npi_arange": "_arange",
    "_npi_argmax": "argmax", "_npi_argmin": "argmin", "_npi_ones": "_ones", "_npi_stack": "stack",
    "_npi_zeros": "_zeros",
}  # fmt: skip


def aliases(operators: Mapping[str, Translation]) -> dict[str, Translation]:
    """Return the operators of NumPy's interface that are translated as one of ``operators``."""
    return {name: _alias(other, operators[other]) for name, other in {**_ELEMENTWISE, **_OTHERS}.items()}


def _alias(operator: str, translate: Translation) -> Translation:
    """Translate a call as one of ``operator``, whose operands NumPy promotes to the dtype of the result."""

    def as_other(call: Call) -> str | list[str]:
        if operator.endswith("_scalar") and call.data.dtype != call.outputs[0][1]:
            raise call.refusal(f"MXNet computes it otherwise when hybridized: cast its data of {call.data.dtype}")
        inputs = [cast(call, each) if call.operator in _ELEMENTWISE else each for each in call.inputs]
        return translate(replace(call, node=replace(call.node, operator=operator), inputs=inputs))

    return as_other


def cast(call: Call, tensor: Tensor, dtype: np.dtype | None = None) -> Tensor:
    """Return ``tensor`` in ``dtype``, or in that of the result."""
    dtype = call.outputs[0][1] if dtype is None else dtype
    if tensor.dtype == dtype:
        return tensor
    return Tensor(call.add("Cast", tensor, suffix="cast", to=np.dtype(dtype)), tensor.shape, dtype)


def _binary(operator: str) -> Translation:
    """Two tensors, in the dtype of the result, which NumPy promotes them to."""

    def translate(call: Call) -> str:
        return call.add(operator, *(cast(call, each) for each in call.inputs))

    return translate


def _comparison(operator: str, opposite: bool = False) -> Translation:
    """Comparisons of tensors, or with a number, as Booleans."""

    def translate(call: Call) -> str:
        first, *others = call.inputs
        call.settings.ignore("is_int")
        if any(each.dtype != np.float32 for each in call.inputs):
            raise call.refusal("comparisons are translated for data of float32")
        other: Tensor | str = others[0] if others else call.number("scalar", call.settings.number("scalar", 1.0))
        truth = call.add(operator, first, other, suffix="opposite" * opposite)
        return call.add("Not", truth) if opposite else truth

    return translate


def where(call: Call) -> str:
    """``_npi_where`` and its forms with numbers, as Where."""
    condition, *branches = call.inputs
    chosen: list[Tensor | str] = [cast(call, each) for each in branches]
    for position, key in _NUMBERS[call.operator]:
        chosen.insert(position, call.constant(key, call.settings.number(key, 0.0), call.outputs[0][1]))
    return call.add("Where", cast(call, condition, np.dtype(bool)), *chosen)


_NUMBERS: dict[str, list[tuple[int, str]]] = {  # of the forms of where: the place of each number, and its setting
    "_npi_where": [],
    "_npi_where_lscalar": [(0, "scalar")],
    "_npi_where_rscalar": [(1, "scalar")],
    "_npi_where_scalar2": [(0, "x"), (1, "y")],
}


def full_like(call: Call) -> str:
    """``_npi_full_like`` as Expand of the number to the shape of the data."""
    call.settings.ignore("ctx", "dtype")
    value = call.constant("value", call.settings.number("fill_value", 0.0), call.outputs[0][1])
    return call.add("Expand", value, call.add("Shape", call.data, suffix="shape"))


def matmul(call: Call) -> str:
    """``_npi_matmul``, and ``_np_dot`` where it does the same, as MatMul."""
    if call.operator == "_np_dot" and (not call.data.rank or call.inputs[1].rank not in (1, 2)):
        raise call.refusal("it is translated for a second input of one or two dimensions")
    return call.add("MatMul", *call.inputs)


def einsum(call: Call) -> str:
    """``_npi_einsum`` as Einsum."""
    call.settings.ignore("num_args", "optimize")
    return call.add("Einsum", *call.inputs, equation=str(call.settings.get("subscripts")))


def tensordot(call: Call) -> str:
    """``_npi_tensordot``, with axes to sum over or a number of them, as Einsum."""
    left, right = call.inputs
    if call.operator == "_npi_tensordot_int_axes":
        count = call.settings.integer("axes", 2)
        pairs = [(left.rank - count + number, number) for number in range(count)]
    else:
        first, second = (call.settings.integers(f"{letter}_axes_summed", ()) for letter in "ab")
        pairs = [(one % left.rank, other % right.rank) for one, other in zip(first, second)]
    names = list(ascii_letters[: left.rank + right.rank])
    one, other = names[: left.rank], names[left.rank :]
    summed = {one[axis] for axis, _ in pairs}
    for axis, opposite in pairs:
        other[opposite] = one[axis]
    kept = "".join(name for name in one + other if name not in summed)
    return call.add("Einsum", left, right, equation=f"{''.join(one)},{''.join(other)}->{kept}")


OPERATORS: dict[str, Translation] = {
    "_np_dot": matmul,
    "_npi_add": _binary("Add"),
    "_npi_einsum": einsum,
    "_npi_full_like": full_like,
    "_npi_matmul": matmul,
    "_npi_multiply": _binary("Mul"),
    "_npi_power": _binary("Pow"),
    "_npi_subtract": _binary("Sub"),
    "_npi_tensordot": tensordot,
    "_npi_tensordot_int_axes": tensordot,
    "_npi_true_divide": _binary("Div"),
    **dict.fromkeys(_NUMBERS, where),
    **{
        f"_npi_{name}{suffix}": _comparison(operator, opposite)
        for name, operator, opposite in (
            ("equal", "Equal", False),
            ("greater", "Greater", False),
            ("greater_equal", "GreaterOrEqual", False),
            ("less", "Less", False),
            ("less_equal", "LessOrEqual", False),
            ("not_equal", "Equal", True),
        )
        for suffix in ("", "_scalar")
    },
}
