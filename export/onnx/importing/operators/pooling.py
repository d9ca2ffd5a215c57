"""Pooling and upsampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.importing.graph import Call, Refusal, Tensor
from export.onnx.importing.operators import windows
from export.onnx.importing.operators.windows import Windows

_LOWEST = float(np.finfo(np.float32).min)
# How ONNX finds the nearest pixel, where that is the one that is repeated for whole factors.
_REPEATING = (
    ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"),
)  # fmt: skip


def _pooling(kind: str) -> Callable[[Call], Tensor]:
    """``MaxPool``, ``AveragePool`` and ``LpPool`` as Pooling, in MXNet's two conventions of the last window."""

    def translate(call: Call) -> Tensor:
        call.ignore("storage_order")  # of the indices, the second output
        data = call.data
        window, up = windows.read(call, data, call.integers("kernel_shape", ())), bool(call.get("ceil_mode", 0))
        if set(window.dilation) != {1}:
            raise Refusal(f"there is no translation of dilations={window.dilation}")
        if any(pad >= extent for pad, extent in zip((*window.begin, *window.end), window.kernel * 2)):
            raise Refusal(f"its padding {window.begin}, {window.end} is not smaller than its kernel {window.kernel}")
        settings: dict[str, object] = {"pool_type": kind}
        if kind == "lp":
            settings["p_value"] = call.only("p", 2, 1, 3)
        counted = kind == "avg" and bool(call.get("count_include_pad", 0)) and any((*window.begin, *window.end))
        if kind == "avg":
            settings["count_include_pad"] = counted
        wanted, possible = _counts(data, window, up), ("valid",) if counted else ("valid", "full")
        convention = _convention(data, window, wanted, possible)
        if convention is None or (counted and not window.is_symmetric):
            if kind == "avg" and not counted:
                raise Refusal(f"its padding differs at both ends: {window.begin} and {window.end}")
            data, window = windows.padded(call, data, window, _LOWEST if kind == "max" else 0.0)
            convention = _convention(data, window, wanted, possible)
        if convention is None:
            raise Refusal("MXNet puts its last windows elsewhere, or counts what is beyond the padding otherwise")
        return call.add("Pooling", data, **window.settings, **settings, pooling_convention=convention)

    return translate


def _counts(data: Tensor, window: Windows, up: bool) -> list[int]:
    """Return the number of windows along each axis."""
    counts = []
    sizes = [data.size(axis) for axis in range(2, data.rank)]
    for size, extent, step, begin, end in zip(sizes, window.kernel, window.stride, window.begin, window.end):
        rest = size + begin + end - extent
        count = (-(-rest // step) if up else rest // step) + 1
        counts.append(count - 1 if up and (count - 1) * step >= size + begin else count)
    return counts


def _convention(data: Tensor, window: Windows, wanted: list[int], possible: tuple[str, ...]) -> str | None:
    """Return MXNet's name for the way to place these windows, each of which begins within the data."""
    sizes = [data.size(axis) for axis in range(2, data.rank)]
    lasts = ((count - 1) * step - pad for count, step, pad in zip(wanted, window.stride, window.begin))
    if any(last >= size for last, size in zip(lasts, sizes)):
        return None
    rests = [size + 2 * pad - extent for size, pad, extent in zip(sizes, window.begin, window.kernel)]
    counts = {
        "valid": [rest // step + 1 for rest, step in zip(rests, window.stride)],
        "full": [-(-rest // step) + 1 for rest, step in zip(rests, window.stride)],
    }
    return next((convention for convention in possible if counts[convention] == wanted), None)


def _global_pooling(kind: str) -> Callable[[Call], Tensor]:
    def translate(call: Call) -> Tensor:
        data = call.data
        settings = {"p_value": call.only("p", 2, 1, 3)} if kind == "lp" else {}
        return call.add("Pooling", data, kernel=(1,) * (data.rank - 2), global_pool=True, pool_type=kind, **settings)

    return translate


def resize(call: Call) -> Tensor:
    """``Resize`` to the nearest pixel, by the same whole factor in height and width, as UpSampling."""
    call.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value")  # of other modes
    call.only("mode", "nearest")
    call.only("antialias", 0)
    call.only("keep_aspect_ratio_policy", "stretch")
    way = call.get("coordinate_transformation_mode", "half_pixel"), call.get("nearest_mode", "round_prefer_floor")
    if way not in _REPEATING:
        raise Refusal(f"there is no translation of coordinate_transformation_mode={way[0]}, nearest_mode={way[1]}")
    data, scales = call.data, call.optional(2)
    call.optional(1)  # the region of another mode
    axes = call.integers("axes", range(data.rank))
    if scales is not None:
        factors = [tuple(float(each) for each in scales.value.reshape(-1))]
    else:
        wanted = call.input(3).values or ()
        factors = [tuple(float(size) / shape[call.axis(axis)] for size, axis in zip(target.reshape(-1), axes))
                   for target, shape in zip(wanted, data.shapes)]  # fmt: skip
    if len(set(factors)) != 1 or len(factors[0]) != len(axes):
        raise Refusal("its factors are not constant, or not one for each axis")
    by_axis = {call.axis(axis): factor for axis, factor in zip(axes, factors[0])}
    spatial = {by_axis.pop(axis, 1.0) for axis in (2, 3)}
    factor = spatial.pop()
    if data.rank != 4 or spatial or set(by_axis.values()) - {1.0} or not factor.is_integer():
        raise Refusal(f"only the same whole factor in height and width is translated, not {factors[0]}")
    return call.add("UpSampling", data, scale=int(factor), sample_type="nearest", num_args=1)


OPERATORS: dict[str, Callable[[Call], Tensor]] = {
    "AveragePool": _pooling("avg"),
    "GlobalAveragePool": _global_pooling("avg"),
    "GlobalLpPool": _global_pooling("lp"),
    "GlobalMaxPool": _global_pooling("max"),
    "LpPool": _pooling("lp"),
    "MaxPool": _pooling("max"),
    "Resize": resize,
}
