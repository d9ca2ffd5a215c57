"""Elementwise functions, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from export.onnx.importing.graph import Call, Refusal, Tensor

_BOOLEAN = np.dtype(bool)
_CAST = ("float32", "int8", "int32", "int64", "uint8")  # the dtypes that MXNet casts to as ONNX does


def _plain(operator: str, **attributes: object) -> Callable[[Call], Tensor]:
    return lambda call: call.add(operator, call.data, **attributes)


def leaky(call: Call) -> Tensor:
    """``LeakyRelu`` as LeakyReLU."""
    return call.add("LeakyReLU", call.data, act_type="leaky", slope=call.get("alpha", 0.01))


def elu(call: Call) -> Tensor:
    """``Elu`` as LeakyReLU."""
    return call.add("LeakyReLU", call.data, act_type="elu", slope=call.get("alpha", 1.0))


def selu(call: Call) -> Tensor:
    """``Selu`` with its usual numbers, the only ones that MXNet has, as LeakyReLU."""
    numbers = call.get("alpha", 1.67326319217681884765625), call.get("gamma", 1.05070102214813232421875)
    if not np.allclose(numbers, (1.6732632, 1.050701), rtol=1e-6):
        raise Refusal(f"there is no translation of alpha={numbers[0]}, gamma={numbers[1]}")
    return call.add("LeakyReLU", call.data, act_type="selu")


def gelu(call: Call) -> Tensor:
    """``Gelu`` as LeakyReLU; its approximation by tanh is refused."""
    call.only("approximate", "none")
    return call.add("LeakyReLU", call.data, act_type="gelu")


def prelu(call: Call) -> Tensor:
    """``PRelu`` with one slope, or one for each channel, as LeakyReLU."""
    data, slopes = call.data, call.input(1).value
    whole = (1,) * (data.rank - slopes.ndim) + slopes.shape
    if len(whole) != data.rank or data.rank < 2 or slopes.size != whole[1]:
        raise Refusal(f"slopes of the shape {slopes.shape} are not one for each channel")
    return call.add("LeakyReLU", data, call.weight(1, slopes.reshape(-1)), act_type="prelu")


def hard_sigmoid(call: Call) -> Tensor:
    """``HardSigmoid`` as hard_sigmoid."""
    return call.add("hard_sigmoid", call.data, alpha=call.get("alpha", 0.2), beta=call.get("beta", 0.5))


def hard_swish(call: Call) -> Tensor:
    """``HardSwish`` as x · hard_sigmoid(x)."""
    return call.add("elemwise_mul", call.data, call.add("hard_sigmoid", call.data, alpha=1 / 6, beta=0.5))


def mish(call: Call) -> Tensor:
    """``Mish`` as x · tanh(log(1 + exp(x)))."""
    raised = call.add("Activation", call.data, act_type="softrelu")
    return call.add("elemwise_mul", call.data, call.add("Activation", raised, act_type="tanh"))


def clip(call: Call) -> Tensor:
    """``Clip`` as clip, or as a maximum or minimum if it has one bound."""
    data, low, high = call.data, call.number(1), call.number(2)
    low, high = None if low == -math.inf else low, None if high == math.inf else high
    if not all(each is None or math.isfinite(each) for each in (low, high)):
        raise Refusal(f"its bounds are {low} and {high}")
    if low is None or high is None:
        data = data if low is None else call.add("_maximum_scalar", data, scalar=low)
        return data if high is None else call.add("_minimum_scalar", data, scalar=high)
    if low > high:
        raise Refusal(f"its bounds are {low} and {high}, the wrong way round")
    return call.add("clip", data, a_min=low, a_max=high)


def _softmax(operator: str) -> Callable[[Call], Tensor]:
    return lambda call: call.add(operator, call.data, axis=call.axis(call.get("axis", -1)) - call.data.rank)


def cast(call: Call) -> Tensor:
    """``Cast`` as Cast, or as nothing where MXNet holds that dtype already."""
    from onnx.helper import tensor_dtype_to_np_dtype

    call.ignore("saturate", "round_mode")  # of float8
    data, dtype = call.data, np.dtype(tensor_dtype_to_np_dtype(call.get("to", 0)))
    if dtype == _BOOLEAN:
        truth = data if data.dtype == _BOOLEAN else call.add("_not_equal_scalar", data, scalar=0.0)
        return replace(truth, dtype=dtype)
    if dtype.name not in _CAST:
        raise Refusal(f"networks are imported in float32, and this casts to {dtype}")
    if dtype in (data.dtype, data.held):
        return replace(data, dtype=dtype)
    return replace(call.add("Cast", data, dtype=dtype.name), dtype=dtype, held=dtype)


def identity(call: Call) -> Tensor:
    """``Identity`` as its input."""
    return call.input(0)


def dropout(call: Call) -> Tensor:
    """``Dropout`` as Dropout, which drops in training only."""
    call.ignore("seed")
    ratio, training = call.number(1), call.optional(2)
    if training is not None and training.value.any():
        raise Refusal("training_mode is set, and inference drops nothing")
    ratio = 0.5 if ratio is None else ratio
    if not 0 <= ratio < 1:
        raise Refusal(f"its ratio is {ratio}")
    return call.add("Dropout", call.data, p=ratio)


OPERATORS: dict[str, Callable[[Call], Tensor]] = {
    "Abs": _plain("abs"),
    "Cast": cast,
    "Ceil": _plain("ceil"),
    "Clip": clip,
    "Cos": _plain("cos"),
    "Dropout": dropout,
    "Elu": elu,
    "Erf": _plain("erf"),
    "Exp": _plain("exp"),
    "Floor": _plain("floor"),
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Identity": identity,
    "LeakyRelu": leaky,
    "Log": _plain("log"),
    "LogSoftmax": _softmax("log_softmax"),
    "Mish": mish,
    "Neg": _plain("negative"),
    "PRelu": prelu,
    "Reciprocal": _plain("reciprocal"),
    "Relu": _plain("Activation", act_type="relu"),
    "Selu": selu,
    "Sigmoid": _plain("Activation", act_type="sigmoid"),
    "Sign": _plain("sign"),
    "Sin": _plain("sin"),
    "Softmax": _softmax("softmax"),
    "Softplus": _plain("Activation", act_type="softrelu"),
    "Softsign": _plain("Activation", act_type="softsign"),
    "Sqrt": _plain("sqrt"),
    "Tanh": _plain("Activation", act_type="tanh"),
}
