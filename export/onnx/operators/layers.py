"""Layers with weights, and normalization."""

from __future__ import annotations

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import along, fixed, reduced, reshaped, turned

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
    """``Deconvolution`` as ConvTranspose; a ``target_shape`` is reached by padding, in place of ``pad`` and ``adj``."""
    settings = call.settings
    settings.only("layout", *LAYOUTS)
    settings.ignore("num_filter", "no_bias")
    kernel, ones = settings.integers("kernel", ()), (1,) * (call.data.rank - 2)
    zeros = (0,) * len(ones)
    stride, dilation = settings.integers("stride", ones), settings.integers("dilate", ones)
    padding, further = settings.integers("pad", zeros), settings.integers("adj", zeros)
    target = settings.integers("target_shape", zeros)
    if any(target):
        sizes = fixed(call, call.data.shape[2:])
        full = [step * (size - 1) + 1 + (extent - 1) * wide
                for step, size, extent, wide in zip(stride, sizes, kernel, dilation)]  # fmt: skip
        excess = [size - wanted for size, wanted in zip(full, target)]
        padding, further = tuple((each + 1) // 2 for each in excess), tuple(each % 2 for each in excess)
    return call.add(
        "ConvTranspose", *call.inputs, kernel_shape=kernel, strides=stride, dilations=dilation, pads=padding * 2,
        group=settings.integer("num_group", 1), output_padding=further if any(further) else None,
    )  # fmt: skip


def fully_connected(call: Call) -> str:
    """``FullyConnected`` as Gemm of flattened data, or as MatMul and Add along the last axis."""
    call.settings.ignore("num_hidden", "no_bias")
    data, weight, *bias = call.inputs
    if call.settings.flag("flatten", True) or data.rank == 2:
        flat = data if data.rank == 2 else call.add("Flatten", data, suffix="flatten", axis=1)
        return call.add("Gemm", flat, weight, *bias, transB=1)  # MXNet keeps weights as (outputs, inputs)
    if weight.value is None:
        columns: Tensor | str = turned(call, weight, (1, 0), "weight")
    else:
        columns = weight.holding(np.ascontiguousarray(weight.value.T))
    if not bias:
        return call.add("MatMul", data, columns)
    return call.add("Add", call.add("MatMul", data, columns, suffix="matmul"), *bias)


def batch_norm(call: Call) -> str:
    """``BatchNorm`` and SyncBatchNorm as BatchNormalization with the running statistics; other axes are turned."""
    settings = call.settings
    axis = call.axis(settings.integer("axis", 1))
    settings.only("output_mean_var", False)
    settings.ignore("momentum", "use_global_stats", "min_calib_range", "max_calib_range", "ndev", "key")
    epsilon, is_fixed = settings.number("eps", 1e-3), settings.flag("fix_gamma", True)
    data, gamma, *others = call.inputs
    scale: Tensor | str = gamma
    if is_fixed:  # then MXNet uses 1, whatever gamma holds
        ones = np.ones(fixed(call, others[0].shape), gamma.dtype)
        scale = call.constant("gamma", ones) if gamma.value is None else gamma.holding(ones)
    # Before opset 14, ONNX's reference mixes in batch statistics by the momentum, which is otherwise unused.
    momentum = 1.0 if call.opset < 14 else None
    order = list(range(data.rank))
    order[1], order[axis] = axis, 1
    normal = call.add(
        "BatchNormalization", data if axis == 1 else turned(call, data, order, "turned"), scale, *others,
        suffix="" if axis == 1 else "normal", epsilon=epsilon, momentum=momentum,
    )  # fmt: skip
    return normal if axis == 1 else turned(call, normal, order)


def instance_norm(call: Call) -> str:
    """``InstanceNorm`` as InstanceNormalization."""
    return call.add("InstanceNormalization", *call.inputs, epsilon=call.settings.number("eps", 1e-3))


def layer_norm(call: Call) -> str:
    """``LayerNorm`` as LayerNormalization, or in its parts before opset 17 and over other axes than the last."""
    call.settings.only("output_mean_var", False)
    axis, epsilon = call.axis(call.settings.integer("axis", -1)), call.settings.number("eps", 1e-5)
    data, *parameters = call.inputs
    if axis == data.rank - 1 and call.opset >= 17:
        return call.add("LayerNormalization", *call.inputs, axis=-1, epsilon=epsilon)
    gamma, beta = (along(call, each, axis) for each in parameters)
    centred = call.add("Sub", data, reduced(call, "ReduceMean", data, [axis], suffix="mean"), suffix="centred")
    squares = call.add("Mul", centred, centred, suffix="squares")
    variance = reduced(call, "ReduceMean", squares, [axis], suffix="variance")
    spread = call.add("Sqrt", call.add("Add", variance, call.number("eps", epsilon), suffix="shifted"), suffix="spread")
    normal = call.add("Div", centred, spread, suffix="normal")
    return call.add("Add", call.add("Mul", normal, gamma, suffix="scaled"), beta)


def group_norm(call: Call) -> str:
    """``GroupNorm``, whose gamma and beta have a value for each group, as InstanceNormalization of the groups."""
    call.settings.only("output_mean_var", False)
    groups, epsilon = call.settings.integer("num_groups", 1), call.settings.number("eps", 1e-5)
    data, *parameters = call.inputs
    grouped = call.add("Reshape", data, call.integers("groups", [0, groups, -1]), suffix="grouped")
    normal = call.add("InstanceNormalization", grouped, *parameters, suffix="normal", epsilon=epsilon)
    return reshaped(call, normal, call.shape)


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
    total = reduced(call, "ReduceSum", squares, chosen, suffix="sum")
    shifted = call.add("Add", total, call.number("eps", call.settings.number("eps", 1e-10)), suffix="shifted")
    return call.add("Div", call.data, call.add("Sqrt", shifted, suffix="norm"))


def embedding(call: Call) -> str:
    """``Embedding`` as Gather, with indices that come as floats, and beyond the ends mean the first or the last."""
    call.settings.ignore("input_dim", "output_dim", "sparse_grad")
    call.settings.only("dtype", "float32")
    data, weight = call.inputs
    whole = call.add("Cast", data, suffix="whole", to=np.dtype(np.int64))
    first, last = call.constant("first", 0, np.int64), call.constant("last", fixed(call, weight.shape)[0] - 1, np.int64)
    index = call.add("Clip", whole, first, last, suffix="index")
    return call.add("Gather", weight, index, axis=0)


OPERATORS = {
    "BatchNorm": batch_norm,
    "Convolution": convolution,
    "Deconvolution": deconvolution,
    "Embedding": embedding,
    "FullyConnected": fully_connected,
    "GroupNorm": group_norm,
    "InstanceNorm": instance_norm,
    "L2Normalization": l2_normalization,
    "LRN": local_response_norm,
    "LayerNorm": layer_norm,
    "_contrib_SyncBatchNorm": batch_norm,
}
