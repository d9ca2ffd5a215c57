"""Functions of one number in C, with errors of a few units in the last place."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.c import text
from export.c.plan import Function

_TANH = """\
/* The hyperbolic tangent as a ratio of polynomials: at most 4e-7 from the true value. It has no branches. */
static float apply_tanh(float v)
{
    v = v > 7.9053111f ? 7.9053111f : v < -7.9053111f ? -7.9053111f : v;
    const float s = v * v;
    const float odd = ((((((-2.7607685e-16f * s + 2.000188e-13f) * s - 8.604672e-11f) * s + 5.122297e-8f) * s
        + 1.4857224e-5f) * s + 6.3726193e-4f) * s + 4.8935246e-3f) * v;
    const float even = ((1.1982584e-6f * s + 1.185347e-4f) * s + 2.2684347e-3f) * s + 4.8935252e-3f;
    return odd / even;
}"""


def _defined(kind: str, body: str) -> str:
    return f"static float apply_{kind}(float v)\n{{\n    return {body};\n}}"


# Of the functions that are not a plain expression.
_DEFINITIONS = {
    "gelu": _defined("gelu", "0.5f * v * (1.0f + erff(v * 0.70710678f))"),
    "selu": _defined("selu", "1.0507010f * (v > 0.0f ? v : 1.6732632f * expm1f(v))"),
    "sigmoid": f"{_TANH}\n\n{_defined('sigmoid', '0.5f + 0.5f * apply_tanh(0.5f * v)')}",
    "softrelu": _defined("softrelu", "(v > 0.0f ? v : 0.0f) + log1pf(expf(-fabsf(v)))"),
    "softsign": _defined("softsign", "v / (1.0f + fabsf(v))"),
    "tanh": _TANH,
}
_EXPRESSIONS = {
    "abs": "fabsf(v)",
    "exp": "expf(v)",
    "reciprocal": "1.0f / v",
    "relu": "v > 0.0f ? v : 0.0f",
    "sqrt": "sqrtf(v)",
    "square": "v * v",
}


_VALUES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "abs": np.abs,
    "exp": np.exp,
    "gelu": lambda v: 0.5 * v * (1 + np.array([math.erf(each / math.sqrt(2)) for each in v])),
    "reciprocal": lambda v: 1 / v,
    "relu": lambda v: np.maximum(v, 0),
    "selu": lambda v: 1.0507010 * np.where(v > 0, v, 1.6732632 * np.expm1(v)),
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "softrelu": lambda v: np.logaddexp(v, 0),
    "softsign": lambda v: v / (1 + np.abs(v)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tanh": np.tanh,
}


def expression(function: Function) -> str:
    """Return the value of ``function`` for ``v``."""
    numbers = [text.number(each) for each in function.numbers]
    if function.kind == "clip":
        return "v < {0} ? {0} : v > {1} ? {1} : v".format(*numbers)
    if function.kind == "leaky":
        return f"v > 0.0f ? v : {numbers[0]} * v"
    if function.kind == "elu":
        return f"v > 0.0f ? v : {numbers[0]} * expm1f(v)"
    return _EXPRESSIONS.get(function.kind) or f"apply_{function.kind}(v)"


def evaluated(function: Function, v: np.ndarray) -> np.ndarray:
    """Return the values of ``function``; where it has none, they are zero."""
    kind, numbers = function.kind, function.numbers
    with np.errstate(all="ignore"):
        if kind == "clip":
            return np.clip(v, numbers[0], numbers[1])
        if kind in ("leaky", "elu"):
            return np.where(v > 0, v, numbers[0] * (v if kind == "leaky" else np.expm1(v)))
        return np.nan_to_num(_VALUES[kind](v), nan=0.0)


def definitions(code: str) -> list[str]:
    """Return the definitions of the functions that ``code`` calls."""
    called = [kind for kind in _DEFINITIONS if f"apply_{kind}(" in code]
    return [_DEFINITIONS[kind] for kind in called if not (kind == "tanh" and "sigmoid" in called)]
