"""Layers with weights, and normalization."""

from __future__ import annotations

import numpy as np

from export.onnx.graph import Call

LAYOUTS = (None, "NCW", "NCHW", "NCDHW")


def convolution(call: Call) -> str:
    """``Convolution`` in one to three dimensions as Conv, with the same padding at both ends."""
    settings = call.settings
    settings.only("layout", *LAYOUTS)
    settings.ignore("num_filter", "no_bias")  # implied by the weights' shape and the number of inputs
    kernel, ones = settings.integers("kernel"), (1,) * (call.data.rank - 2)
    padding = settings.integers("pad", (0,) * len(ones))
    return call.add(
        "Conv", *call.inputs, kernel_shape=kernel, strides=settings.integers("stride", ones),
        dilations=settings.integers("dilate", ones), pads=padding * 2, group=settings.integer("num_group", 1),
    )  # fmt: skip


def deconvolution(call: Call) -> str:
    """``Deconvolution`` as ConvTranspose; a ``target_shape`` is refused."""
    settings = call.settings
    settings.only("layout", *LAYOUTS)
    settings.ignore("num_filter", "no_bias")
    kernel, ones = settings.integers("kernel"), (1,) * (call.data.rank - 2)
    zeros = (0,) * len(ones)
    if any(settings.integers("target_shape", zeros)):
        raise call.refusal("target_shape is not supported: give pad and adj instead")
    padding, further = settings.integers("pad", zeros), settings.integers("adj", zeros)
    return call.add(
        "ConvTranspose", *call.inputs, kernel_shape=kernel, strides=settings.integers("stride", ones),
        dilations=settings.integers("dilate", ones), pads=padding * 2, group=settings.integer("num_group", 1),
        output_padding=further if any(further) else None,
    )  # fmt: skip


def fully_connected(call: Call) -> str:
    """``FullyConnected`` as Gemm of flattened data, or as MatMul and Add along the last axis."""
    call.settings.ignore("num_hidden", "no_bias")
    data, weight, *bias = call.inputs
    if call.settings.flag("flatten", True) or data.rank == 2:
        flat = data if data.rank == 2 else call.add("Flatten", data, suffix="flatten", axis=1)
        return call.add("Gemm", flat, weight, *bias, transB=1)  # MXNet keeps weights as (outputs, inputs)
    if weight.value is None:
        raise call.refusal("flatten=False is translated only where the weights are parameters")
    turned = weight.holding(np.ascontiguousarray(weight.value.T))
    if not bias:
        return call.add("MatMul", data, turned)
    return call.add("Add", call.add("MatMul", data, turned, suffix="matmul"), *bias)


def batch_norm(call: Call) -> str:
    """``BatchNorm`` and SyncBatchNorm over axis 1 as BatchNormalization with the running statistics."""
    settings = call.settings
    if call.axis(settings.integer("axis", 1)) != 1:
        raise call.refusal(f"there is no translation of axis={settings.get('axis')}, only of the channels' axis 1")
    settings.only("output_mean_var", False)
    settings.ignore("momentum", "use_global_stats", "min_calib_range", "max_calib_range", "ndev", "key")
    data, gamma, *others = call.inputs
    if settings.flag("fix_gamma", True):  # then MXNet uses 1, whatever gamma holds
        gamma = gamma.holding(np.ones(gamma.shape, gamma.dtype))
    # Before opset 14, ONNX's reference mixes in batch statistics by the momentum, which is otherwise unused.
    momentum = 1.0 if call.opset < 14 else None
    epsilon = settings.number("eps", 1e-3)
    return call.add("BatchNormalization", data, gamma, *others, epsilon=epsilon, momentum=momentum)


def instance_norm(call: Call) -> str:
    """``InstanceNorm`` as InstanceNormalization."""
    return call.add("InstanceNormalization", *call.inputs, epsilon=call.settings.number("eps", 1e-3))


def layer_norm(call: Call) -> str:
    """``LayerNorm`` over the last axis as LayerNormalization, which ONNX has from opset 17 on."""
    call.settings.only("output_mean_var", False)
    if call.axis(call.settings.integer("axis", -1)) != call.data.rank - 1:
        raise call.refusal("only normalization over the last axis is translated")
    if call.opset < 17:
        raise call.refusal(f"ONNX has LayerNormalization from opset 17 on, and this is {call.opset}")
    return call.add("LayerNormalization", *call.inputs, axis=-1, epsilon=call.settings.number("eps", 1e-5))


def local_response_norm(call: Call) -> str:
    """``LRN`` as LRN, over an odd number of channels."""
    settings = call.settings
    size = settings.integer("nsize", 0)
    if size % 2 == 0:
        raise call.refusal(f"nsize={size} is not odd, and the runtimes differ on where the middle is")
    return call.add(
        "LRN", call.data, size=size, alpha=settings.number("alpha", 1e-4),
        beta=settings.number("beta", 0.75), bias=settings.number("knorm", 2.0),
    )  # fmt: skip


def l2_normalization(call: Call) -> str:
    """``L2Normalization`` as a division by the root of the sum of squares."""
    axes = {"instance": range(1, call.data.rank), "channel": [1], "spatial": range(2, call.data.rank)}
    chosen = list(axes[call.settings.only("mode", *axes)])
    squares = call.add("Mul", call.data, call.data, suffix="squares")
    total = call.add("ReduceSum", squares, call.integers("axes", chosen), suffix="sum", keepdims=1)
    shifted = call.add("Add", total, call.number("eps", call.settings.number("eps", 1e-10)), suffix="shifted")
    return call.add("Div", call.data, call.add("Sqrt", shifted, suffix="norm"))


def embedding(call: Call) -> str:
    """``Embedding`` as Gather, with indices that come as floats."""
    call.settings.ignore("input_dim", "output_dim", "sparse_grad")
    call.settings.only("dtype", "float32")
    data, weight = call.inputs
    index = call.add("Cast", data, suffix="index", to=np.dtype(np.int64))
    return call.add("Gather", weight, index, axis=0)


OPERATORS = {
    "BatchNorm": batch_norm,
    "Convolution": convolution,
    "Deconvolution": deconvolution,
    "Embedding": embedding,
    "FullyConnected": fully_connected,
    "InstanceNorm": instance_norm,
    "L2Normalization": l2_normalization,
    "LRN": local_response_norm,
    "LayerNorm": layer_norm,
    "_contrib_SyncBatchNorm": batch_norm,
}
