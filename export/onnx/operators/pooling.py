"""Pooling and upsampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.operators.layers import LAYOUTS
from export.onnx.parts import cube_root, fixed, reduced


@dataclass(frozen=True)
class _Windows:
    """Where the windows of a pooling lie: a number for each axis of an image."""

    sizes: tuple[int, ...]  # of the data
    counts: tuple[int, ...]  # of the windows
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]  # before the data; as much of that after them counts in averages

    @property
    def last(self) -> list[int]:
        """Where the last windows begin."""
        return [(count - 1) * step - pad for count, step, pad in zip(self.counts, self.stride, self.padding)]

    @property
    def beyond(self) -> list[int]:
        """How far the last windows reach beyond the padded end: 0 unless pooling_convention is full."""
        ends = zip(self.last, self.kernel, self.sizes, self.padding)
        return [max(0, last + extent - size - pad) for last, extent, size, pad in ends]

    @property
    def pads(self) -> tuple[int, ...]:
        """The padding in ONNX's order."""
        return self.padding + tuple(pad + extra for pad, extra in zip(self.padding, self.beyond))

    @property
    def hold_data(self) -> bool:
        """Whether no window lies outside the data, as ONNX's poolings demand."""
        inside = all(last < size for last, size in zip(self.last, self.sizes))
        return inside and all(pad < extent for pad, extent in zip(self.padding, self.kernel))

    def areas(self, include_padding: bool) -> np.ndarray:
        """Return by how many elements MXNet divides the sum of each window; sums without elements stay 0."""
        area = np.ones((), np.int64)
        for size, count, extent, step, pad in zip(self.sizes, self.counts, self.kernel, self.stride, self.padding):
            starts = np.arange(count) * step - pad
            stops = np.minimum(starts + extent, size + pad)
            lengths = stops - starts if include_padding else np.minimum(stops, size) - np.maximum(starts, 0)
            area = area[..., None] * np.maximum(lengths, 1)
        return area


def pooling(call: Call) -> str:
    """``Pooling`` as MaxPool, AveragePool or their Global variants, and sums as convolutions with ones."""
    settings = call.settings
    kind = settings.only("pool_type", "max", "avg", "sum", "lp")
    settings.only("layout", *LAYOUTS)
    include = settings.only("count_include_pad", None, True, False) is not False
    power = settings.get("p_value") if kind == "lp" else 1
    settings.ignore("p_value")
    settings.only("pooling_convention", "valid", "full", "same")
    is_global = settings.flag("global_pool", False)
    kernel, ones = settings.integers("kernel", ()), (1,) * (call.data.rank - 2)
    stride, padding = settings.integers("stride", ones), settings.integers("pad", (0,) * len(ones))
    if power not in (1, 2, 3):
        raise call.refusal(f"there is no translation of p_value={power}")
    if is_global and kind in ("max", "avg"):
        return call.add({"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[kind], call.data)
    sizes, counts = (fixed(call, shape[2:]) for shape in (call.data.shape, call.shape))
    if is_global:
        kernel, stride, padding = sizes, ones, (0,) * len(ones)
    windows = _Windows(sizes, counts, kernel, stride, padding)
    if kind == "max":
        return _largest(call, windows)
    if kind == "avg":
        return _average(call, windows, include)
    return _norm(call, windows, power)


def _largest(call: Call, windows: _Windows) -> str:
    if windows.hold_data:
        return call.add("MaxPool", call.data, kernel_shape=windows.kernel, strides=windows.stride, pads=windows.pads)
    begins, ends = windows.pads[: len(windows.kernel)], windows.pads[len(windows.kernel) :]
    lowest = call.constant("lowest", np.finfo(call.data.dtype).min, call.data.dtype)
    widths = call.integers("pads", [0, 0, *begins, 0, 0, *ends])
    padded = call.add("Pad", call.data, widths, lowest, suffix="padded", mode="constant")
    return call.add("MaxPool", padded, kernel_shape=windows.kernel, strides=windows.stride)


def _average(call: Call, windows: _Windows, include: bool) -> str:
    included = include and any(windows.padding)
    if windows.hold_data and not (included and any(windows.beyond)):
        return call.add(
            "AveragePool", call.data, kernel_shape=windows.kernel, strides=windows.stride, pads=windows.pads,
            count_include_pad=int(included) if any(windows.pads) else None,
        )  # fmt: skip
    areas = call.constant("areas", windows.areas(include)[None, None], call.data.dtype)
    return call.add("Div", _sum(call, call.data, windows, "sum"), areas)


def _norm(call: Call, windows: _Windows, power: int) -> str:
    """The root of the sum of powers, which keep their signs if they are odd."""
    if power == 1:
        return _sum(call, call.data, windows)
    powers: Tensor | str = call.add("Mul", call.data, call.data, suffix="square")
    if power == 2:
        return call.add("Sqrt", _sum(call, powers, windows, "sum"))
    return cube_root(call, _sum(call, call.add("Mul", powers, call.data, suffix="cube"), windows, "sum"))


def _sum(call: Call, data: Tensor | str, windows: _Windows, suffix: str = "") -> str:
    """Add up what is in each window: a convolution of every channel with ones, unless there is one window of all."""
    if windows.kernel == windows.sizes and not any(windows.pads):
        return reduced(call, "ReduceSum", data, range(2, call.data.rank), suffix=suffix)
    (channels,) = fixed(call, call.data.shape[1:2])
    ones = call.constant("ones", np.ones((channels, 1, *windows.kernel)), call.data.dtype)
    return call.add(
        "Conv", data, ones, suffix=suffix, kernel_shape=windows.kernel, strides=windows.stride, pads=windows.pads,
        group=channels,
    )  # fmt: skip


def adaptive_average(call: Call) -> str:
    """``_contrib_AdaptiveAvgPooling2D`` as AveragePool if all windows have the same size, as products if not."""
    call.settings.ignore("output_size")
    if set(call.shape[2:]) == {1}:
        return call.add("GlobalAveragePool", call.data)
    sizes, wanted = (fixed(call, shape[2:]) for shape in (call.data.shape, call.shape))
    if not any(size % count for size, count in zip(sizes, wanted)):
        kernel = [size // count for size, count in zip(sizes, wanted)]
        return call.add("AveragePool", call.data, kernel_shape=kernel, strides=kernel)
    rows, columns = (_shares(size, count) for size, count in zip(sizes, wanted))
    left = call.constant("rows", rows, call.data.dtype)
    product = call.add("MatMul", left, call.data, suffix="by_rows")
    return call.add("MatMul", product, call.constant("columns", columns.T, call.data.dtype))


def _shares(size: int, count: int) -> np.ndarray:
    """Return the share of every element in the averages of ``count`` windows, which may overlap by one element."""
    shares = np.zeros((count, size))
    for number, row in enumerate(shares):
        start, stop = number * size // count, -(-(number + 1) * size // count)
        row[start:stop] = 1 / (stop - start)
    return shares


def up_sampling(call: Call) -> str:
    """``UpSampling`` as Resize, which repeats the nearest pixels, or as the ConvTranspose that it is if bilinear."""
    settings = call.settings
    kind, mode = settings.only("sample_type", "nearest", "bilinear"), settings.only("multi_input_mode", "concat", "sum")
    scale = settings.integer("scale", 1)
    settings.ignore("num_filter", "num_args")
    if kind == "bilinear":
        return _bilinear(call, scale)
    if len(call.inputs) == 1:
        return _repeat(call, call.data, scale)
    (height,) = fixed(call, call.shape[2:3])
    scales = [height // size for each in call.inputs for size in fixed(call, each.shape[2:3])]
    parts = [_repeat(call, each, scale, "part") for each, scale in zip(call.inputs, scales)]
    return call.add("Sum", *parts) if mode == "sum" else call.add("Concat", *parts, axis=1)


def _repeat(call: Call, data: Tensor, scale: int, suffix: str = "") -> str:
    scales = call.constant("scales", [1, 1, scale, scale], np.float32)
    return call.add(
        "Resize", data, "", scales, suffix=suffix, mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )  # fmt: skip


def _bilinear(call: Call, scale: int) -> str:
    extent, pad = 2 * scale - scale % 2, scale // 2
    return call.add(
        "ConvTranspose", *call.inputs, kernel_shape=[extent] * 2, strides=[scale] * 2, pads=[pad] * 4,
        group=call.inputs[1].shape[0],
    )  # fmt: skip


OPERATORS = {
    "Pooling": pooling,
    "UpSampling": up_sampling,
    "_contrib_AdaptiveAvgPooling2D": adaptive_average,
}
