"""Convolutions that sample their input at points moved by offsets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.operators.layers import LAYOUTS
from export.onnx.parts import fixed


def deformable(call: Call) -> str:
    """``_contrib_DeformableConvolution`` as DeformConv, with points that are moved and masked as its border demands.

    MXNet takes 0 for all points outside the image, and the last row for points less than a pixel below it, while in
    ONNX the image fades into zeros around it.
    """
    data, offset, weight, *bias = call.inputs
    size, extent = np.reshape(fixed(call, data.shape[2:]), (2, 1, 1)), fixed(call, offset.shape[2:])
    start, last, end, zero = (
        call.constant(name, value, data.dtype)
        for name, value in (("start", _start(call, extent)), ("last", size - 1), ("end", size), ("zero", 0))
    )
    groups = call.settings.integer("num_deformable_group", 1)
    pairs = call.add("Reshape", offset, call.integers("pairs", [0, groups, -1, 2, *extent]), suffix="pairs")
    points = call.add("Add", pairs, start, suffix="points")
    started = call.add("GreaterOrEqual", points, zero, suffix="started")
    inside = call.add("And", started, call.add("Less", points, end, suffix="unfinished"), suffix="inside")
    factors = call.add("Cast", inside, suffix="factors", to=np.dtype(data.dtype))
    both = call.add("ReduceMin", factors, call.integers("pair", [3]), suffix="both", keepdims=0)
    clipped = call.add("Min", call.add("Max", points, zero, suffix="raised"), last, suffix="clipped")
    target = call.integers("maps", [0, -1, *extent])
    moved = call.add("Reshape", call.add("Sub", clipped, start, suffix="moves"), target, suffix="moved")
    mask = call.add("Reshape", both, target, suffix="mask")
    return _convolution(call, data, weight, moved, bias[0] if bias else "", mask)


def _start(call: Call, extent: tuple[int, ...]) -> np.ndarray:
    """Return where the points are before they are moved: (taps, 2, height, width)."""
    kernel, stride, padding, dilation = _geometry(call)
    taps = np.stack(np.meshgrid(*(np.arange(size) * step for size, step in zip(kernel, dilation)), indexing="ij"))
    corners = np.indices(extent) * np.reshape(stride, (2, 1, 1)) - np.reshape(padding, (2, 1, 1))
    return taps.reshape(2, -1).T[:, :, None, None] + corners


def modulated(call: Call) -> str:
    """``_contrib_ModulatedDeformableConvolution`` as DeformConv."""
    data, offset, mask, weight, *bias = call.inputs
    return _convolution(call, data, weight, offset, bias[0] if bias else "", mask)


def _geometry(call: Call) -> list[tuple[int, ...]]:
    """Return kernel, stride, padding and dilation."""
    defaults = {"kernel": (1, 1), "stride": (1, 1), "pad": (0, 0), "dilate": (1, 1)}
    return [call.settings.integers(*each) for each in defaults.items()]


def _convolution(call: Call, *inputs: Tensor | str) -> str:
    if call.opset < 19:
        raise call.refusal(f"ONNX has DeformConv from opset 19 on, and this is {call.opset}")
    settings, (kernel, stride, padding, dilation) = call.settings, _geometry(call)
    settings.only("layout", *LAYOUTS)
    settings.ignore("num_filter", "no_bias", "im2col_step")
    return call.add(
        "DeformConv", *inputs, kernel_shape=kernel, strides=stride, pads=padding * 2, dilations=dilation,
        group=settings.integer("num_group", 1), offset_group=settings.integer("num_deformable_group", 1),
    )  # fmt: skip


OPERATORS: dict[str, Callable[[Call], str]] = {
    "_contrib_DeformableConvolution": deformable,
    "_contrib_ModulatedDeformableConvolution": modulated,
}
