"""Layers with weights, and normalization."""

from __future__ import annotations

from math import prod

import numpy as np

from export.onnx.importing.graph import Call, Refusal, Tensor
from export.onnx.importing.operators import windows
from export.onnx.importing.operators.shapes import reshaped


def convolution(call: Call) -> Tensor:
    """``Conv`` as Convolution."""
    data, weight = call.data, call.weight(1)
    shape = weight.shapes[0]
    kernel = call.integers("kernel_shape", shape[2:])
    data, window = windows.padded(call, data, windows.read(call, data, kernel))
    return call.add(
        "Convolution", data, weight, *_bias(call, 2), **window.settings, dilate=window.dilation,
        num_filter=shape[0], num_group=call.get("group", 1), no_bias=call.optional(2) is None,
    )  # fmt: skip


def deconvolution(call: Call) -> Tensor:
    """``ConvTranspose`` as Deconvolution; an ``output_shape`` is refused."""
    data, weight = call.data, call.weight(1)
    shape = weight.shapes[0]
    call.only("auto_pad", "NOTSET", "VALID")
    window = windows.read(call, data, call.integers("kernel_shape", shape[2:]))
    if not window.is_symmetric:
        raise Refusal(f"its padding differs at both ends: {window.begin} and {window.end}")
    group = call.get("group", 1)
    return call.add(
        "Deconvolution", data, weight, *_bias(call, 2), **window.settings, dilate=window.dilation,
        adj=call.integers("output_padding", (0,) * len(window.kernel)), num_filter=shape[1] * group, num_group=group,
        no_bias=call.optional(2) is None,
    )  # fmt: skip


def gemm(call: Call) -> Tensor:
    """``Gemm`` as FullyConnected."""
    call.only("alpha", 1.0)
    call.only("beta", 1.0)
    data = call.data
    if call.get("transA", 0):
        data = call.add("transpose", data, axes=(1, 0))
    turned, weight = not call.get("transB", 0), call.input(1)
    if not weight.is_constant:
        product = call.add("dot", data, weight, transpose_b=not turned)
        return product if call.optional(2) is None else call.add("broadcast_add", product, call.computed(2))
    parameter = call.weight(1, _turned(weight.value) if turned else None)  # MXNet keeps weights as (outputs, inputs)
    count = parameter.shapes[0][0]
    shift = call.optional(2)
    if shift is None:
        return call.add("FullyConnected", data, parameter, num_hidden=count, no_bias=True)
    if not shift.is_constant or shift.value.size not in (1, count) or shift.value.shape[:-1] not in ((), (1,)):
        product = call.add("FullyConnected", data, parameter, num_hidden=count, no_bias=True)
        return call.add("broadcast_add", product, call.computed(2))
    bias = call.weight(2, np.resize(shift.value, count))
    return call.add("FullyConnected", data, parameter, bias, num_hidden=count, no_bias=False)


def matmul(call: Call) -> Tensor:
    """``MatMul`` as FullyConnected where the weight is a matrix, and as dot or batch_dot elsewhere."""
    right = call.input(1)
    if right.is_constant and right.rank == 2 and call.input(0).rank >= 2:
        weight = call.weight(1, _turned(right.value))
        settings = {} if call.input(0).rank == 2 else {"flatten": False}
        count = weight.shapes[0][0]
        return call.add("FullyConnected", call.data, weight, num_hidden=count, no_bias=True, **settings)
    left, right = call.data, call.computed(1)
    if left.rank == right.rank == 2:
        return call.add("dot", left, right)
    outer = [shape[:-2] for shape in left.shapes]
    if left.rank < 3 or outer != [shape[:-2] for shape in right.shapes]:
        raise Refusal(f"products of {left.shapes[0]} and {right.shapes[0]} are not translated")
    # MXNet multiplies stacks of matrices: axes before the last two become one.
    stacks = [
        reshaped(call, each, [(prod(shape[:-2]), *shape[-2:]) for shape in each.shapes]) for each in (left, right)
    ]
    product = call.add("batch_dot", *stacks)
    return reshaped(call, product, [(*before, *shape[-2:]) for before, shape in zip(outer, product.shapes)])


def batch_norm(call: Call) -> Tensor:
    """``BatchNormalization`` as BatchNorm over axis 1, whose running statistics are its own."""
    call.only("training_mode", 0)
    momentum = call.get("momentum", 0.9)
    return call.add(
        "BatchNorm", call.data, call.weight(1), call.weight(2), call.weight(3, is_own=True),
        call.weight(4, is_own=True), eps=call.get("epsilon", 1e-5), fix_gamma=False,
        momentum=momentum if momentum < 1 else 0.9,  # 1, as in files for inference, would never learn any
    )  # fmt: skip


def instance_norm(call: Call) -> Tensor:
    """``InstanceNormalization`` as InstanceNorm."""
    return call.add("InstanceNorm", call.data, call.weight(1), call.weight(2), eps=call.get("epsilon", 1e-5))


def layer_norm(call: Call) -> Tensor:
    """``LayerNormalization`` over the last axis as LayerNorm."""
    call.only("stash_type", 1)
    data, gamma = call.data, call.weight(1)
    if call.axis(call.get("axis", -1)) != data.rank - 1:
        raise Refusal("only normalization over the last axis is translated")
    beta = call.optional(2)
    if beta is None:
        zeros = np.zeros(gamma.shapes[0], np.float32)
        name = f"{call.operation.name}_beta"
        missing = Tensor(name, zeros.dtype, gamma.shapes, values=(zeros,), origin=name)
        return call.add("LayerNorm", data, gamma, call.in_network(missing), eps=call.get("epsilon", 1e-5))
    return call.add("LayerNorm", data, gamma, call.weight(2), eps=call.get("epsilon", 1e-5))


def local_response_norm(call: Call) -> Tensor:
    """``LRN`` as LRN, over an odd number of channels."""
    size = call.get("size", 0)
    if size % 2 == 0:
        raise Refusal(f"size={size} is not odd, and programs differ on where the middle is")
    return call.add(
        "LRN", call.data, nsize=size, alpha=call.get("alpha", 1e-4), beta=call.get("beta", 0.75),
        knorm=call.get("bias", 1.0),
    )  # fmt: skip


def gather(call: Call) -> Tensor:
    """``Gather`` of a matrix's rows as take, or with one constant index as slice_axis and squeeze; -1 is the last."""
    source, index = call.input(0), call.input(1)
    axis = call.axis(call.get("axis", 0))
    if source.is_constant and source.rank == 2 and axis == 0 and not index.is_constant:
        return call.add("take", call.weight(0), index, axis=0, mode="wrap")
    if not index.is_constant or index.value.ndim:
        raise Refusal("only the rows of a constant matrix, or a single constant index, are translated")
    size, data = source.size(axis), call.data
    if data.rank == 1:
        raise Refusal("it leaves no dimension, and MXNet has no scalars")
    begin = int(index.value) % size
    part = call.add("slice_axis", data, axis=axis, begin=begin, end=begin + 1)
    return call.add("squeeze", part, axis=(axis,))


def _turned(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value.T)


def _bias(call: Call, number: int) -> list[Tensor]:
    return [] if call.optional(number) is None else [call.weight(number)]


OPERATORS = {
    "BatchNormalization": batch_norm,
    "Conv": convolution,
    "ConvTranspose": deconvolution,
    "Gather": gather,
    "Gemm": gemm,
    "InstanceNormalization": instance_norm,
    "LRN": local_response_norm,
    "LayerNormalization": layer_norm,
    "MatMul": matmul,
}
