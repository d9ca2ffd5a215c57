"""Elementwise functions, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.operators.sequences import within

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}


def activation(call: Call) -> str:
    """``Activation`` as the operator that its ``act_type`` names."""
    kind = call.settings.only("act_type", *_ACTIVATIONS)  # never missing: MXNet has no default for it
    return call.add(_ACTIVATIONS[kind], call.data)


def leaky(call: Call) -> str:
    """``LeakyReLU`` as LeakyRelu, Elu, Selu, Gelu or PRelu; rrelu is refused."""
    kind = call.settings.only("act_type", "leaky", "elu", "selu", "gelu", "prelu")
    slope = call.settings.number("slope", 0.25)
    call.settings.ignore("lower_bound", "upper_bound")  # used by rrelu only
    if kind == "prelu":
        return _prelu(call)
    if kind == "gelu":
        return _gelu(call)
    if kind == "selu":
        return call.add("Selu", call.data)
    return call.add("Elu" if kind == "elu" else "LeakyRelu", call.data, alpha=slope)


def _prelu(call: Call) -> str:
    data, gamma = call.inputs
    if gamma.value is None:
        raise call.refusal("its slopes are not a parameter")
    if gamma.value.size == 1:
        return call.add("PRelu", data, gamma)
    channels = (-1, *[1] * (data.rank - 2))  # one slope per channel, on axis 1
    return call.add("PRelu", data, gamma.holding(gamma.value.reshape(channels)))


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
    return call.add("Clip", call.data, call.number("min", low), call.number("max", high))


def softmax(call: Call) -> str:
    """``softmax`` and ``log_softmax``, over data that are first divided by the temperature, and up to a length."""
    settings = call.settings
    settings.only("dtype", None, "float32")
    axis = call.axis(settings.integer("axis", -1))
    data: Tensor | str = call.data
    if settings.get("temperature") not in (None, "None", 1):
        divisor = call.number("temperature", settings.number("temperature", 1))
        data = call.add("Div", data, divisor, suffix="scaled")
    operator = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[call.operator]
    along = -1 if axis == call.data.rank - 1 else axis
    if not settings.flag("use_length", False):
        return call.add(operator, data, axis=along)
    kept = within(call, call.inputs[1], axis, *(each for each in range(call.data.rank) if each != axis))
    masked = call.add("Where", kept, data, call.number("lowest", float(np.finfo(np.float32).min)), suffix="masked")
    shares = call.add(operator, masked, suffix="shares", axis=along)
    return call.add("Where", kept, shares, call.number("zero", 0))  # 0 everywhere if the length is 0


def softmax_activation(call: Call) -> str:
    """``SoftmaxActivation`` as Softmax over the channels, or over the last axis of two-dimensional data."""
    if call.settings.only("mode", "instance", "channel") == "channel":
        return call.add("Softmax", call.data, axis=1)
    if call.data.rank != 2:
        raise call.refusal("mode=instance is translated for two dimensions only")
    return call.add("Softmax", call.data, axis=-1)


def _plain(operator: str) -> Callable[[Call], str]:
    return lambda call: call.add(operator, call.data)


def _square(call: Call) -> str:
    return call.add("Mul", call.data, call.data)


def _rsqrt(call: Call) -> str:
    return call.add("Reciprocal", call.add("Sqrt", call.data, suffix="sqrt"))


def _cast(call: Call) -> str:
    _, dtype = call.outputs[0]
    call.settings.ignore("dtype")
    return call.data.name if dtype == call.data.dtype else call.add("Cast", call.data, to=np.dtype(dtype))


def _same(call: Call) -> str:
    call.settings.ignore("grad_scale", "valid_thresh", "normalization")
    return call.data.name


def dropout(call: Call) -> str:
    """``Dropout`` as the identity, which it is outside training."""
    call.settings.only("mode", "training")
    call.settings.ignore("p", "axes")
    return call.data.name


OPERATORS = {
    "Activation": activation,
    "BlockGrad": _same,
    "Cast": _cast,
    "Dropout": dropout,
    "LeakyReLU": leaky,
    "MakeLoss": _same,
    "SoftmaxActivation": softmax_activation,
    "_copy": _same,
    "abs": _plain("Abs"),
    "ceil": _plain("Ceil"),
    "clip": clip,
    "cos": _plain("Cos"),
    "erf": _plain("Erf"),
    "exp": _plain("Exp"),
    "floor": _plain("Floor"),
    "hard_sigmoid": hard_sigmoid,
    "log": _plain("Log"),
    "log_softmax": softmax,
    "make_loss": _same,
    "negative": _plain("Neg"),
    "reciprocal": _plain("Reciprocal"),
    "relu": _plain("Relu"),
    "rsqrt": _rsqrt,
    "sigmoid": _plain("Sigmoid"),
    "sign": _plain("Sign"),
    "sin": _plain("Sin"),
    "softmax": softmax,
    "softsign": _plain("Softsign"),
    "sqrt": _plain("Sqrt"),
    "square": _square,
    "tanh": _plain("Tanh"),
}
