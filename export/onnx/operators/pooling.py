"""Pooling and upsampling."""

from __future__ import annotations

import numpy as np

from export.onnx.graph import Call
from export.onnx.operators.layers import LAYOUTS

_OPERATORS = {"max": "MaxPool", "avg": "AveragePool", "lp": "LpPool"}


def pooling(call: Call) -> str:
    """``Pooling`` as MaxPool, AveragePool or LpPool, or their Global variants."""
    settings = call.settings
    kind = settings.only("pool_type", "max", *_OPERATORS)
    settings.only("layout", *LAYOUTS)
    include = settings.get("count_include_pad", True) in (True, "True", None, 1)
    power = settings.integer("p_value", 2) if kind == "lp" else None
    settings.ignore("p_value")
    if settings.flag("global_pool", False):
        settings.ignore("kernel", "stride", "pad", "pooling_convention")
        return call.add(f"Global{_OPERATORS[kind]}", call.data, p=power)
    kernel, ones = settings.integers("kernel", ()), (1,) * (call.data.rank - 2)
    stride, padding = settings.integers("stride", ones), settings.integers("pad", (0,) * len(ones))
    settings.only("pooling_convention", "valid", "full")
    if any(pad >= size for pad, size in zip(padding, kernel)):
        raise call.refusal(f"its padding {padding} is not smaller than its kernel {kernel}")
    beyond = _beyond(call, kernel, stride, padding)
    counted = None
    if kind == "avg" and (any(padding) or any(beyond)):
        if include and any(padding) and any(beyond):
            raise call.refusal("it averages over padding in windows that end beyond it (pooling_convention=full)")
        counted = int(include and any(padding))
    if kind == "lp" and any(beyond):
        raise call.refusal("windows of an LpPool that end beyond the data are not translated")
    ends = tuple(pad + extra for pad, extra in zip(padding, beyond))
    return call.add(
        _OPERATORS[kind], call.data, kernel_shape=kernel, strides=stride, pads=padding + ends,
        count_include_pad=counted, p=power,
    )  # fmt: skip


def _beyond(call: Call, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> list[int]:
    """Return how far the last windows reach beyond the padded end: 0 unless pooling_convention is full."""
    reach = []
    sizes = zip(call.data.shape[2:], call.shape[2:], kernel, stride, padding)
    for size, windows, extent, step, pad in sizes:
        if not isinstance(size, int) or not isinstance(windows, int):
            raise call.refusal("the size of its input is not fixed")
        last = (windows - 1) * step - pad
        if last >= size:
            raise call.refusal(f"its last window starts at {last}, beyond an input of {size}")
        reach.append(max(0, last + extent - size - pad))
    return reach


def adaptive_average(call: Call) -> str:
    """``_contrib_AdaptiveAvgPooling2D`` as AveragePool, or as MatMul if its windows differ in size."""
    sizes = [size for size in call.data.shape[2:] if isinstance(size, int)]
    counts = [size for size in call.shape[2:] if isinstance(size, int)]
    call.settings.ignore("output_size")
    if set(counts) == {1}:
        return call.add("GlobalAveragePool", call.data)
    if len(sizes) < 2:
        raise call.refusal("the size of its input is not fixed")
    if all(size % count == 0 for size, count in zip(sizes, counts)):
        kernel = [size // count for size, count in zip(sizes, counts)]
        return call.add("AveragePool", call.data, kernel_shape=kernel, strides=kernel)
    rows, columns = (_averages(size, count) for size, count in zip(sizes, counts))
    lower = call.add("MatMul", call.constant("rows", rows, call.data.dtype), call.data, suffix="lower")
    return call.add("MatMul", lower, call.constant("columns", columns.T, call.data.dtype))


def _averages(size: int, count: int) -> np.ndarray:
    """Return the matrix that averages ``size`` elements over ``count`` windows, which may overlap by one."""
    start, end = (np.arange(count) * size // count, -(-np.arange(1, count + 1) * size // count))
    place = np.arange(size)
    inside = (start[:, None] <= place) & (place < end[:, None])
    return inside / inside.sum(axis=1, keepdims=True)


def up_sampling(call: Call) -> str:
    """``UpSampling`` as Resize, which repeats the nearest pixels."""
    call.settings.only("sample_type", "nearest")
    call.settings.only("num_args", 1)
    call.settings.ignore("num_filter", "multi_input_mode")
    scale = call.settings.integer("scale", 1)
    scales = call.constant("scales", [1, 1, scale, scale], np.float32)
    return call.add(
        "Resize", call.data, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )  # fmt: skip


OPERATORS = {
    "Pooling": pooling,
    "UpSampling": up_sampling,
    "_contrib_AdaptiveAvgPooling2D": adaptive_average,
}
