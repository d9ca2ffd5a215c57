"""MXNet's networks in 8-bit integers, as QuantizeLinear and DequantizeLinear around operators on real numbers.

A tensor of integers is represented by the real numbers that they stand for. MXNet passes its range along as two more
tensors; the ranges of calibration take their place, and without them an operator is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from export.onnx.folding import factor_and_shift, scaled
from export.onnx.graph import Call, Tensor
from export.onnx.operators import layers
from export.onnx.operators.pooling import pooling
from export.onnx.settings import Settings
from zoo.graph.ir import Node

_SIGNED = 127.5  # what MXNet scales the end of a range to in int8, and in uint8:
_UNSIGNED = 255.5
_ZERO = 128  # what stands for 0 in uint8 if there are values of both signs
_LARGEST_BIAS = 2**30
_FLAGS = (
    "enable_float_output", "no_bias", "quantized", "with_act", "with_bn", "with_eltwise", "with_postsum_act",
    "with_sum",
)  # fmt: skip


def quantize(call: Call) -> list[str]:
    """``_contrib_quantize_v2`` with a calibrated range."""
    call.settings.ignore("out_type")  # MXNet inferred it
    return _rounded(call, call.data.name, _calibrated(call))


def requantize(call: Call) -> list[str]:
    """``_contrib_requantize`` with a calibrated range, whose end becomes 127, which then stands for a little less."""
    call.settings.ignore("out_type")
    scale, zero = _calibrated(call)
    finer = call.constant("sums_scale", call.graph.initializers[scale] * np.float32(_SIGNED / int(_SIGNED)))
    return _rounded(call, call.data.name, [scale, zero], [finer, zero])


def dequantize(call: Call) -> str:
    """``_contrib_dequantize``: the real numbers are there already."""
    call.settings.ignore("out_type")
    return call.data.name


def fused_layer(call: Call) -> list[str]:
    """Convolutions and dense layers of oneDNN, with what was fused into them: BatchNorm, a sum and ReLU."""
    layer, *rest = _fused(call)
    call.settings.only("quantized", "true", "True", True)
    call.settings.ignore(*_FLAGS)
    parts = iter(call.inputs)
    data, weight, *bias = (next(parts) for _ in range(2 if layer.is_set("no_bias") else 3))
    dense = call.operator == "_sg_mkldnn_fully_connected"  # its parameters are integers, those of convolutions are real
    real = _value(call, weight)
    shift = _real_bias(call, bias) if dense else _value(call, bias[0]) if bias else None
    after: list[tuple[str, list[Tensor]]] = []
    for node in rest:
        if node.operator == "BatchNorm":
            factor, addend = factor_and_shift(node, [_value(call, next(parts)) for _ in range(4)])
            real, shift = scaled(real, factor), (addend if shift is None else shift * factor + addend)
        elif node.operator in ("elemwise_add", "_Plus", "broadcast_add"):
            after.append(("Add", [next(parts)]))
        elif node.attributes.get("act_type") == "relu" or node.operator == "relu":
            after.append(("Relu", []))
        else:
            raise call.refusal(f"MXNet scales its {node.operator} {node.name!r} otherwise than the network computes")
    least = np.abs(0 if shift is None else shift) / (call.graph.initializers[_steps(call, data)[0]] * _LARGEST_BIAS)
    integers, scale = (real, _scale_of(call, bias)) if dense else _integers(real, least)
    output = _layer(call, layer, data, integers, scale, shift)
    for operator, others in after:
        output = call.add(operator, output, *others, suffix=operator.lower())
    return _result(call, output)


def layer(call: Call) -> list[str]:
    """``_contrib_quantized_conv`` and ``_contrib_quantized_fully_connected``."""
    data, weight, *bias = call.inputs[: 2 if call.settings.flag("no_bias", False) else 3]
    operator = "Convolution" if call.operator == "_contrib_quantized_conv" else "FullyConnected"
    calibrated = {key: value for key, value in call.node.attributes.items() if not key.endswith("_calib_range")}
    call.settings.ignore(*calibrated)
    node = Node(operator, call.node.name, calibrated)
    output = _layer(call, node, data, _value(call, weight), _scale_of(call, bias), _real_bias(call, bias))
    return _result(call, output)


def kept(translate: Callable[[Call], str]) -> Callable[[Call], list[str]]:
    """Return the translation of an operator whose outputs have the range of its first input."""

    def on_integers(call: Call) -> list[str]:
        name = call.graph.unique(f"{call.name}_real")
        return _rounded(call, translate(replace(call, name=name, inputs=call.inputs[:1])), _steps(call, call.data))

    return on_integers


def act(call: Call) -> str:
    """``_contrib_quantized_act``, which is a ReLU."""
    call.settings.only("act_type", "relu")
    return call.add("Relu", call.data)


def add(call: Call) -> list[str]:
    """``_contrib_quantized_elemwise_add``."""
    call.settings.ignore("enable_float_output")
    return _result(call, call.add("Add", *call.inputs[:2], suffix="real"))


def concat(call: Call) -> list[str]:
    """``_contrib_quantized_concat``, with the largest of the inputs' ranges."""
    count = call.settings.integer("num_args", 1)
    axis = call.axis(call.settings.integer("dim", 1))
    largest = max(_largest(call, each) for each in call.inputs[:count])
    output = call.add("Concat", *call.inputs[:count], suffix="real", axis=axis)
    return _rounded(call, output, _constants(call, largest))


def _result(call: Call, output: str) -> list[str]:
    """Round ``output`` to its calibrated range; sums in 32 bits, and what MXNet makes real numbers, remain as is."""
    if call.outputs[0][1] in (np.int8, np.uint8):
        return _rounded(call, output, _calibrated(call))
    call.settings.ignore("min_calib_range", "max_calib_range")
    return [output, *_ranges(call)]


def _calibrated(call: Call) -> list[str]:
    low, high = (call.settings.get(f"{end}_calib_range") for end in ("min", "max"))
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        raise call.refusal("it has no calibrated range: MXNet would find one anew for each batch")
    return _constants(call, max(abs(low), abs(high)))


def _constants(call: Call, largest: float) -> list[str]:
    """Return the names of the scale and the zero of integers up to ``largest``, in the dtype that MXNet inferred."""
    unsigned = call.outputs[0][1] == np.uint8
    scale = np.float32((largest or 1) / (_UNSIGNED if unsigned else _SIGNED))
    return [call.constant("scale", scale), call.constant("zero", 0 if unsigned else _ZERO, np.uint8)]


def _rounded(call: Call, name: str, steps: Sequence[str], before: Sequence[str] | None = None) -> list[str]:
    """Round the tensor ``name`` to ``steps``, or to those ``before``, of which the integers are kept."""
    integers = call.add("QuantizeLinear", name, *(before or steps), suffix="quantized")
    return [call.add("DequantizeLinear", integers, *steps), *_ranges(call)]


def _ranges(call: Call) -> list[str]:
    """Names for the two tensors of the range, which nothing computes: whoever takes them needs none of their values."""
    return [call.graph.unique(f"{call.name}_{end}") for end in ("min", "max")]


def _steps(call: Call, tensor: Tensor) -> list[str]:
    """Return the names of the scale and the zero that ``tensor`` was rounded with."""
    for operation in call.graph.operations:
        if operation.outputs == [tensor.name] and operation.operator == "DequantizeLinear":
            return operation.inputs[1:]
    raise call.refusal("its data are no integers of 8 bits with a calibrated range")


def _largest(call: Call, tensor: Tensor) -> float:
    scale, zero = (call.graph.initializers[name] for name in _steps(call, tensor))
    return float(scale) * (_SIGNED if zero else _UNSIGNED)


def _fused(call: Call) -> list[Node]:
    """Return the operators that were fused, which form a chain."""
    nodes = [node for subgraph in call.node.subgraphs for node in subgraph["nodes"]]
    return [Node(node["op"], node["name"], node.get("attrs", {})) for node in nodes if node["op"] != "null"]


def _value(call: Call, tensor: Tensor) -> np.ndarray:
    if tensor.value is None:
        raise call.refusal(f"{tensor.name} is not a parameter")
    return tensor.value


def _scale_of(call: Call, bias: Sequence[Tensor], back: int = 2) -> np.float32:
    """Return the scale of a layer's weights in int8, or of the biases with ``back`` 0: their ranges come last."""
    end = len(call.inputs) - (back if bias else 0)
    low, high = (_value(call, each) for each in call.inputs[end - 2 : end])
    return np.float32(max(np.abs(low).max(), np.abs(high).max()) / _SIGNED)


def _real_bias(call: Call, bias: Sequence[Tensor]) -> np.ndarray | None:
    return _value(call, bias[0]) * _scale_of(call, bias, back=0) if bias else None


def _integers(weight: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``weight`` in int8, and the scale of each output channel, at ``least`` so large that biases fit."""
    flat = weight.reshape(len(weight), -1)
    scales = np.maximum(np.abs(flat).max(axis=1) / _SIGNED, np.maximum(least, np.finfo(np.float32).tiny))
    integers = np.clip(np.rint(flat / scales[:, None]), -_ZERO, _ZERO - 1)
    return integers.astype(np.int8).reshape(weight.shape), scales


def _layer(
    call: Call, node: Node, data: Tensor, weight: np.ndarray, scale: np.ndarray | np.float32, bias: np.ndarray | None
) -> str:
    """Append the layer ``node`` with parameters in integers; returns the name of its real outputs.

    Weights are uint8 around 128: sums of two products of uint8 and int8 saturate in 16 bits on CPUs without VNNI.
    """
    steps = _steps(call, data)
    name = call.graph.unique(node.name)
    scales = np.broadcast_to(scale, len(weight))
    integers = (weight.astype(np.int16) + _ZERO).astype(np.uint8)
    real = [_dequantized(call, f"{name}_weight", integers, scales, np.full(len(scales), _ZERO, np.uint8))]
    if bias is not None:
        products = scales * call.graph.initializers[steps[0]]
        if (np.abs(bias) > np.iinfo(np.int32).max * products.astype(np.float64)).any():
            raise call.refusal("its weights are so small that its biases do not fit into 32 bits")
        held = np.rint(bias / products.astype(np.float64)).astype(np.int32)
        real.append(_dequantized(call, f"{name}_bias", held, products, np.zeros(len(scales), np.int32)))
    shapes = (weight.shape, (len(weight),))
    inputs = [Tensor(each, shape, np.dtype(np.float32)) for each, shape in zip(real, shapes)]
    if node.operator == "FullyConnected" and node.is_set("flatten", True) and data.rank > 2:
        flattened = call.graph.unique(f"{name}_flatten")
        call.graph.add("Flatten", [data], [flattened], axis=1)
        data = Tensor(flattened, (data.shape[0], weight.shape[1]), data.dtype)
    translate = layers.convolution if node.operator == "Convolution" else layers.fully_connected
    inner = replace(call, node=node, name=name, inputs=[data, *inputs], settings=Settings(node))
    output = translate(inner)
    inner.settings.finish()
    return output


def _dequantized(call: Call, name: str, integers: np.ndarray, scales: np.ndarray, zeros: np.ndarray) -> str:
    output = call.graph.unique(f"{name}_dequantized")
    parts = {"quantized": integers, "scale": scales.astype(np.float32), "zero": zeros}
    inputs = [call.graph.constant(f"{name}_{part}", value) for part, value in parts.items()]
    call.graph.add("DequantizeLinear", inputs, [output], axis=0)
    return output


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "_contrib_dequantize": dequantize,
    "_contrib_quantize_v2": quantize,
    "_contrib_quantized_act": kept(act),
    "_contrib_quantized_concat": concat,
    "_contrib_quantized_conv": layer,
    "_contrib_quantized_elemwise_add": add,
    "_contrib_quantized_flatten": kept(lambda call: call.add("Flatten", call.data, axis=1)),
    "_contrib_quantized_fully_connected": layer,
    "_contrib_quantized_pooling": kept(pooling),
    "_contrib_requantize": requantize,
    "_sg_mkldnn_conv": fused_layer,
    "_sg_mkldnn_fully_connected": fused_layer,
}
