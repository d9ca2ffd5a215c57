"""How the layers compute in 8-bit integers: activations and weights are bytes, sums have 32 bits.

An activation stands for (value - zero) · step. Each array has its own zero and step, from the smallest and the largest
value that items for calibration have there; weights have one step for each filter. Between two layers, everything is
integer arithmetic: sums are multiplied with fixed-point numbers, and functions are tables of 256 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from export.c import arithmetic, functions
from export.c.arithmetic import Code
from export.c.plan import (
    Affine,
    Binary,
    Convolution,
    Dense,
    Elementwise,
    Function,
    Join,
    Layer,
    Plan,
    Pool,
    Softmax,
    Step,
)  # fmt: skip
from export.c.text import number
from zoo.errors import ZooError

_SATURATED = {"tanh": 4.0, "sigmoid": 8.0}  # beyond this, the function hardly changes
_BITS = 30  # of fixed-point multipliers, besides the sign
_HELPERS = {
    "limited": """\
static int32_t limited(int32_t v)
{
    return v < 0 ? 0 : v > 255 ? 255 : v;
}""",
    "requantized": """\
static int32_t requantized(int32_t sum, int32_t multiplier, int shift, int32_t zero)
{
    const int64_t product = (int64_t)sum * multiplier + ((int64_t)1 << (shift - 1));
    const int64_t v = (product >> shift) + zero;
    return v < 0 ? 0 : v > 255 ? 255 : (int32_t)v;
}""",
}


@dataclass(frozen=True)
class Scale:
    """What the bytes of an array stand for: (value - zero) · step."""

    step: float
    zero: int

    @classmethod
    def of(cls, low: float, high: float) -> Scale:
        """Return the scale that holds all values from ``low`` to ``high``, and 0 exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / 255 or 1.0
        return cls(step, round(-low / step))

    def bytes(self, values: np.ndarray) -> np.ndarray:
        """Return ``values`` as bytes."""
        return np.clip(np.round(values / self.step) + self.zero, 0, 255).astype(np.uint8)

    def table(self) -> np.ndarray:
        """Return what each byte stands for."""
        return (np.arange(256) - self.zero) * self.step

    def value(self, byte: str) -> str:
        """Return what ``byte`` stands for, in C."""
        return f"((float)({byte}{f' - {self.zero}' if self.zero else ''}) * {number(self.step)})"


def prepared(plan: Plan) -> Plan:
    """Return ``plan`` for pixels of 8 bits, with a last layer that can put out floats."""
    layers, stages, last = plan.layers, plan.stages, plan.layers[-1]
    if not isinstance(last, (Convolution, Dense, Elementwise, Pool, Softmax)):
        target = replace(last.target, number=1 + max(layer.target.number for layer in layers))
        layers, stages = (*layers, Elementwise("output", (last.target,), target, ())), (*stages, ("",))
    for layer, names in zip(layers[:-1], stages):
        _check(layer, names)
    return replace(plan, layers=layers, stages=stages, uint8=True)


def _check(layer: Layer, names: tuple[str, ...]) -> None:
    """Refuse a layer before the last that has no integer arithmetic."""
    refused = [
        step
        for step, name in zip(layer.steps, names[1:])
        if not (isinstance(step, (Affine, Function)) or (isinstance(step, Binary) and step.operator in "+-"))
        or not name
    ]
    if refused or isinstance(layer, Softmax) or (isinstance(layer, Pool) and layer.kind == "sum"):
        raise ZooError(f"the layer {layer.name!r} cannot be computed in 8-bit integers: write it in float32")


def absorbs(step: Step) -> bool:
    """Whether ``step`` does nothing that the limits of a byte do not do."""
    if not isinstance(step, Function):
        return False
    return step.kind == "relu" or (step.kind == "clip" and step.numbers[0] <= 0 <= step.numbers[1])


class Int8:
    """Bytes, with the scales of a plan."""

    data, weight, sum, bytes = "uint8_t", "int8_t", "int32_t", 1
    helpers: Mapping[str, str] = _HELPERS

    def __init__(self, plan: Plan, ranges: Mapping[str, tuple[float, float]]) -> None:
        self.last = plan.output.number
        self.scales = {plan.input.number: Scale(1 / 255, 0)}  # of each array
        self.chains: dict[int, list[tuple[Step | None, Scale]]] = {}  # of each layer: its sums and steps, with scales
        for layer, names in zip(plan.layers, plan.stages):
            chain = self._chain(layer, names, ranges)
            self.chains[layer.target.number], self.scales[layer.target.number] = chain, chain[-1][1]

    def _chain(
        self, layer: Layer, names: tuple[str, ...], ranges: Mapping[str, tuple[float, float]]
    ) -> list[tuple[Step | None, Scale]]:
        source = self.scales[layer.sources[0].number]
        has_sums = isinstance(layer, (Convolution, Dense)) or (isinstance(layer, Pool) and layer.kind == "avg")
        start = Scale.of(*ranges[names[0]]) if names[0] in ranges and (has_sums or isinstance(layer, Join)) else source
        chain: list[tuple[Step | None, Scale]] = [(None, start)]
        for step, name in zip(layer.steps, names[1:]):
            scale = Scale.of(*ranges[name]) if name in ranges else start
            rounds = has_sums if len(chain) == 1 else not isinstance(chain[-1][0], Function)
            if absorbs(step) and rounds:
                chain[-1] = (chain[-1][0], scale)
                continue
            limit = _SATURATED.get(step.kind) if isinstance(step, Function) and rounds else None
            if limit is not None:
                before = chain[-1][1].table()
                chain[-1] = (chain[-1][0], Scale.of(max(before[0], -limit), min(before[-1], limit)))
            chain.append((step, scale))
        return chain

    def parameters(self, layer: Convolution | Dense) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight in bytes, and the bias with what the zero of the input adds to the sums."""
        flat, steps = layer.weight.reshape(len(layer.weight), -1), self._steps(layer)
        source = self.scales[layer.sources[0].number]
        weight = np.round(flat / steps[:, None]).astype(np.int8)
        bias = np.round(layer.bias / (steps * source.step)) - source.zero * weight.sum(axis=1, dtype=np.int64)
        ends = [bias + sign * 255 * np.maximum(sign * weight.astype(np.int64), 0).sum(axis=1) for sign in (1, -1)]
        if np.abs(ends).max() > np.iinfo(np.int32).max:
            raise ZooError(f"the layer {layer.name!r} has too many weights for sums of 32 bits: write it in float32")
        return weight.reshape(layer.weight.shape), bias.astype(np.int32)

    def _steps(self, layer: Convolution | Dense) -> np.ndarray:
        """Return the step of the weights of each filter, large enough for its bias in 30 bits."""
        largest = np.abs(layer.weight.reshape(len(layer.weight), -1)).max(axis=1) / 127
        source = self.scales[layer.sources[0].number]
        steps = np.maximum(largest, np.abs(layer.bias) / source.step / 2.0**_BITS)
        return np.where(steps == 0, 1.0, steps)

    def stored(self, layer: Layer, found: Code, value: str, index: str, channel: str) -> list[str]:
        """Return the statements that make a byte of a sum, and apply the steps to it; the last layer stores floats."""
        chain = self.chains[layer.target.number]
        if layer.target.number == self.last:
            return self._as_float(layer, found, value, index, channel)
        lines = [f"int32_t v = {value};"]
        if isinstance(layer, (Convolution, Dense)):
            real = self._steps(layer) * self.scales[layer.sources[0].number].step / chain[0][1].step
            multipliers, shift = _fixed(real)
            name = found.constant("multiplier", multipliers)
            lines = [f"int32_t v = requantized({value}, {name}[{channel}], {shift}, {chain[0][1].zero});"]
        others = 0
        for count, ((_, before), (step, after)) in enumerate(zip(chain, chain[1:])):
            if isinstance(step, Binary):
                result = self._combined(step, before, after, f"with{others}[{index}]")
                others += 1
            elif isinstance(step, Function):
                table = after.bytes(functions.evaluated(step, before.table()))
                result = f"{found.constant(f'table{count}', table)}[v]"
            else:
                assert isinstance(step, Affine)  # the only other one that prepared() lets through
                result = _scaled(step, before, after, found, count, channel)
            lines.append(f"v = {result};")
        return [*lines, f"out[{index}] = (uint8_t)v;"]

    def _combined(self, step: Binary, before: Scale, after: Scale, other: str) -> str:
        """Return the sum or difference of ``v`` and ``other``."""
        theirs, signs = self.scales[step.other.number], (1, 1)
        if step.operator == "-":
            signs = (-1, 1) if step.is_left else (1, -1)
        ratios = (signs[0] * before.step / after.step, signs[1] * theirs.step / after.step)
        bits = _bits(255 * (abs(ratios[0]) + abs(ratios[1])) + 256)
        first, second = (round(each * 2.0**bits) for each in ratios)
        total = round((after.zero + 0.5) * 2.0**bits) - before.zero * first - theirs.zero * second
        return f"limited((v * {first} + {other} * {second} + {total}) >> {bits})"

    def _as_float(self, layer: Layer, found: Code, value: str, index: str, channel: str) -> list[str]:
        source = self.scales[layer.sources[0].number]
        if isinstance(layer, (Convolution, Dense)):
            steps = (self._steps(layer) * source.step).astype(np.float32)
            value = f"(float)({value}) * {found.constant('step', steps)}[{channel}]"
        elif isinstance(layer, Pool) and layer.kind == "max":
            value = source.value(value)
        others = layer.reads[len(layer.sources) :]
        lines = arithmetic.steps(
            layer, found, channel, lambda count: self.scales[others[count].number].value(f"with{count}[{index}]")
        )
        return [f"float v = {value};", *lines, f"out[{index}] = v;"]

    def mean(self, layer: Layer, divisor: str, is_fixed: bool) -> str:
        """Return the mean of a window as a byte, or as a float in the last layer."""
        source, target = self.scales[layer.sources[0].number], self.chains[layer.target.number][0][1]
        total = f"a[c]{f' - {source.zero} * (y1 - y0) * (x1 - x0)' if source.zero else ''}"
        if layer.target.number == self.last:
            return f"(float)({total}) * {number(source.step)} / (float)({divisor})"
        multipliers, shift = _fixed(np.array([source.step / target.step / (int(divisor) if is_fixed else 256)]))
        mean = total if is_fixed else f"(({total}) * 256) / ({divisor})"
        return f"requantized({mean}, {multipliers[0]}, {shift}, {target.zero})"

    def constant(self, layer: Layer, value: float) -> str:
        """Return ``value`` as a byte."""
        return str(self.scales[layer.target.number].bytes(np.array(value)))

    def copied(self, layer: Layer, found: Code, position: int, value: str) -> str:
        """Return a byte with the scale of the array that the layer writes."""
        source, target = self.scales[layer.sources[position].number], self.scales[layer.target.number]
        if source == target:
            return value
        return f"{found.constant(f'table{position}', target.bytes(source.table()))}[{value}]"

    def pointwise(self, layer: Layer, found: Code) -> str:
        """Return an element of the input as it is, or as a float in the last layer."""
        source = self.scales[layer.sources[0].number]
        return source.value("in0[{}]") if layer.target.number == self.last else "in0[{}]"


def _scaled(step: Affine, before: Scale, after: Scale, found: Code, count: int, channel: str) -> str:
    """Return ``v`` times a number for each channel, plus another."""
    ratio, shift = step.scale * before.step / after.step, step.shift / after.step
    bits = _bits(255 * np.abs(ratio).max() + np.abs(shift).max() + 256)
    factors = np.round(ratio * 2.0**bits).astype(np.int32)
    starts = np.round((shift + after.zero + 0.5) * 2.0**bits - before.zero * np.float64(factors)).astype(np.int32)
    factor, start = found.constant(f"factor{count}", factors), found.constant(f"start{count}", starts)
    return f"limited((v * {factor}[{channel}] + {start}[{channel}]) >> {bits})"


def _bits(largest: float) -> int:
    """Return by how many bits numbers up to ``largest`` can be shifted in 29 bits."""
    bits = _BITS - 1 - math.ceil(math.log2(largest))
    if bits < 0:
        raise ZooError("the ranges of the network's arrays differ too much for 8-bit integers: write it in float32")
    return bits


def _fixed(real: np.ndarray) -> tuple[np.ndarray, int]:
    """Return numbers as integers over a power of two, and its exponent."""
    shift = min(62, _bits(real.max()) + 1)
    return np.round(real * 2.0**shift).astype(np.int32), shift
