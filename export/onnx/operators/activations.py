"""Activations, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.operators.sequences import within
from export.onnx.parts import along

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}


def activation(call: Call) -> str:
    """``Activation`` as the operator that its ``act_type`` names."""
    kind = call.settings.only("act_type", *_ACTIVATIONS)  # never missing: MXNet has no default for it
    return call.add(_ACTIVATIONS[kind], call.data)


def leaky(call: Call) -> str:
    """``LeakyReLU`` as LeakyRelu, Elu, Selu, Gelu or PRelu; outside training, rrelu has the middle of its slopes."""
    kind = call.settings.only("act_type", "leaky", "elu", "selu", "gelu", "prelu", "rrelu")
    slope = call.settings.number("slope", 0.25)
    bounds = call.settings.number("lower_bound", 0.125), call.settings.number("upper_bound", 0.334)
    if kind == "prelu":
        return _prelu(call)
    if kind == "gelu":
        return _gelu(call)
    if kind == "selu":
        return call.add("Selu", call.data)
    if kind == "rrelu":
        slope = sum(bounds) / 2
    return call.add("Elu" if kind == "elu" else "LeakyRelu", call.data, alpha=slope)


def _prelu(call: Call) -> str:
    data, gamma = call.inputs
    return call.add("PRelu", data, gamma if gamma.shape == (1,) else along(call, gamma, 1))


def _gelu(call: Call) -> str:
    """``gelu`` as Gelu, or before opset 20 as x · (1 + erf(x / √2)) / 2."""
    if call.opset >= 20:
        return call.add("Gelu", call.data)
    scaled = call.add("Div", call.data, call.number("root", math.sqrt(2)), suffix="scaled")
    error = call.add("Erf", scaled, suffix="erf")
    raised = call.add("Add", error, call.number("one", 1), suffix="raised")
    product = call.add("Mul", call.data, raised, suffix="product")
    return call.add("Mul", product, call.number("half", 0.5))


def hard_sigmoid(call: Call) -> str:
    """``hard_sigmoid`` as HardSigmoid: a line that is clipped to [0, 1]."""
    alpha, beta = call.settings.number("alpha", 0.2), call.settings.number("beta", 0.5)
    return call.add("HardSigmoid", call.data, alpha=alpha, beta=beta)


def clip(call: Call) -> str:
    """``clip`` as Clip, with its bounds as inputs."""
    low, high = call.settings.number("a_min", -math.inf), call.settings.number("a_max", math.inf)
    if low > high:
        raise call.refusal(f"its least value {low} is larger than its largest, {high}")
    return call.add("Clip", call.data, call.number("min", low), call.number("max", high))


def softmax(call: Call) -> str:
    """``softmax``, ``softmin`` and ``log_softmax``, over data divided by the temperature, and up to a length."""
    settings = call.settings
    settings.only("dtype", None, "float32")
    axis = call.axis(settings.integer("axis", -1))
    temperature = settings.get("temperature")
    data: Tensor | str = call.data
    if call.operator.endswith("softmin"):
        data = call.add("Neg", data, suffix="negative")
    if temperature not in (None, 1):
        divisor = call.number("temperature", settings.number("temperature", 1))
        data = call.add("Div", data, divisor, suffix="scaled")
    operator = "LogSoftmax" if call.operator.endswith("log_softmax") else "Softmax"
    last = -1 if axis == call.data.rank - 1 else axis
    if not settings.flag("use_length", False):
        return call.add(operator, data, axis=last)
    kept = within(call, call.inputs[1], axis, *(each for each in range(call.data.rank) if each != axis))
    masked = call.add("Where", kept, data, call.number("lowest", float(np.finfo(np.float32).min)), suffix="masked")
    shares = call.add(operator, masked, suffix="shares", axis=last)
    return call.add("Where", kept, shares, call.number("zero", 0))  # 0 everywhere if the length is 0


def softmax_activation(call: Call) -> str:
    """``SoftmaxActivation`` as Softmax over the channels, or over the last axis."""
    is_over_channels = call.settings.only("mode", "instance", "channel") == "channel"
    return call.add("Softmax", call.data, axis=1 if is_over_channels else -1)


def _plain(operator: str) -> Callable[[Call], str]:
    return lambda call: call.add(operator, call.data)


def dropout(call: Call) -> str:
    """``Dropout`` as the identity, which it is outside training."""
    call.settings.only("mode", "training")
    call.settings.ignore("p", "axes")
    return call.data.name


OPERATORS = {
    "Activation": activation,
    "Dropout": dropout,
    "LeakyReLU": leaky,
    "SoftmaxActivation": softmax_activation,
    "clip": clip,
    "hard_sigmoid": hard_sigmoid,
    "log_softmax": softmax,
    "relu": _plain("Relu"),
    "sigmoid": _plain("Sigmoid"),
    "softmax": softmax,
    "softmin": softmax,
    "softsign": _plain("Softsign"),
    "tanh": _plain("Tanh"),
}
