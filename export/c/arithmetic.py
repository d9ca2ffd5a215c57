"""How the layers compute in float32: the types of C, the parameters, and the steps before a value is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from export.c import functions
from export.c.plan import Affine, Convolution, Dense, Function, Layer, Slopes
from export.c.text import number


@dataclass
class Code:
    """The function of one layer: its lines, and the constants that it reads."""

    prefix: str  # of the names of the constants
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def constant(self, name: str, values: np.ndarray) -> str:
        """Keep ``values``; returns the name of the array in C."""
        name = f"{self.prefix}_{name}"
        self.constants[name] = np.ascontiguousarray(values)
        return name


class Arithmetic(Protocol):
    """What differs between numbers of different types."""

    data: str  # the type of the arrays
    weight: str
    sum: str
    bytes: int  # of an element of an array
    helpers: Mapping[str, str]  # functions in C that the others may call, by name

    def parameters(self, layer: Convolution | Dense) -> tuple[np.ndarray, np.ndarray]:
        """Return weight and bias in their types."""

    def stored(self, layer: Layer, found: Code, value: str, index: str, channel: str) -> list[str]:
        """Return the statements that store a sum, or another ``value`` for layers without sums, after the steps."""

    def mean(self, layer: Layer, divisor: str, is_fixed: bool) -> str:
        """Return the mean of the window whose sum is ``a[c]``."""

    def constant(self, layer: Layer, value: float) -> str:
        """Return ``value`` as it stands in the array that the layer writes."""

    def copied(self, layer: Layer, found: Code, position: int, value: str) -> str:
        """Return an element of an input as it stands in the array that the layer writes."""

    def pointwise(self, layer: Layer, found: Code) -> str:
        """Return the value that an elementwise layer starts with."""


class Float32:
    """Everything is a float."""

    data = weight = sum = "float"
    bytes = 4
    helpers: Mapping[str, str] = {}

    def parameters(self, layer: Convolution | Dense) -> tuple[np.ndarray, np.ndarray]:
        """Return weight and bias as they are."""
        return layer.weight.astype(np.float32), layer.bias.astype(np.float32)

    def stored(self, layer: Layer, found: Code, value: str, index: str, channel: str) -> list[str]:
        """Return the statements that store ``value`` after the steps."""
        if not layer.steps:
            return [f"out[{index}] = {value};"]
        return [
            f"float v = {value};",
            *steps(layer, found, channel, lambda number: f"with{number}[{index}]"),
            f"out[{index}] = v;",
        ]

    def mean(self, layer: Layer, divisor: str, is_fixed: bool) -> str:
        """Return the mean of a window; a fixed divisor is a factor."""
        return f"a[c] * {number(1 / int(divisor))}" if is_fixed else f"a[c] / (float)({divisor})"

    def constant(self, layer: Layer, value: float) -> str:
        """Return ``value`` as a float."""
        return number(value)

    def copied(self, layer: Layer, found: Code, position: int, value: str) -> str:
        """Return an element as it is."""
        return value

    def pointwise(self, layer: Layer, found: Code) -> str:
        """Return an element, which may be a pixel of 8 bits."""
        return "(float)in0[{}]" if layer.sources[0].number == 0 else "in0[{}]"


def steps(layer: Layer, found: Code, channel: str, other: Callable[[int], str]) -> list[str]:
    """Return the statements that apply the steps to ``v``; ``other`` is an element of another array, by its number."""
    lines, others = [], 0
    for count, step in enumerate(layer.steps):
        if isinstance(step, Function):
            lines.append(f"v = {functions.expression(step)};")
        elif isinstance(step, Affine):
            scale = _channelwise(found, f"scale{count}", step.scale, channel)
            shift = _channelwise(found, f"shift{count}", step.shift, channel)
            product = "v" if scale == "1.0f" else f"v * {scale}"
            lines += (
                []
                if (product, shift) == ("v", "0.0f")
                else [f"v = {product}{'' if shift == '0.0f' else f' + {shift}'};"]
            )
        elif isinstance(step, Slopes):
            lines.append(f"v = v > 0.0f ? v : v * {_channelwise(found, f'slope{count}', step.slope, channel)};")
        else:
            operands = ("v", other(others))
            left, right = operands[::-1] if step.is_left else operands
            lines.append(f"v = {left} {step.operator} {right};")
            others += 1
    return lines


def _channelwise(found: Code, name: str, values: np.ndarray, channel: str) -> str:
    """Return the value for a channel: one number if all are the same."""
    if (values == values[0]).all():
        return number(values[0])
    return f"{found.constant(name, values.astype(np.float32))}[{channel}]"


FLOAT32 = Float32()
