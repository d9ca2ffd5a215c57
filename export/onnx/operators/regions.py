"""Pooling of regions of images. A region has five numbers: that of its item in the batch, and two corners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call
from export.onnx.operators.boxes import columns
from export.onnx.sizes import sizes

_INDEX = np.dtype(np.int64)


def roi_align(call: Call) -> str:
    """``_contrib_ROIAlign`` as RoiAlign."""
    settings = call.settings
    settings.only("position_sensitive", False)
    aligned, (data, regions) = settings.flag("aligned", False), call.inputs
    if aligned and call.opset < 16:
        raise call.refusal(f"ONNX has aligned regions from opset 16 on, and this is {call.opset}")
    mode = "half_pixel" if aligned else "output_half_pixel"  # before opset 16, always the latter
    item, exists = _items(call)
    items = call.add("Squeeze", item, call.integers("last", [1]), suffix="items")
    height, width = settings.integers("pooled_size", (1, 1))
    pooled = call.add(
        "RoiAlign", data, columns(call, regions, 1, 5), items, suffix="pooled", output_height=height,
        output_width=width, sampling_ratio=max(0, settings.integer("sample_ratio", -1)),
        spatial_scale=settings.number("spatial_scale", 1.0),
        coordinate_transformation_mode=mode if call.opset >= 16 else None,
    )  # fmt: skip
    return call.add("Where", exists, pooled, call.number("zero", 0))


def roi_pooling(call: Call) -> str:
    """``ROIPooling`` as MaxRoiPool."""
    data, regions = call.inputs
    item, exists = _items(call)
    number = call.add("Cast", item, suffix="number", to=np.dtype(data.dtype))
    known = call.add("Concat", number, columns(call, regions, 1, 5), suffix="regions", axis=1)
    size, scale = call.settings.integers("pooled_size"), call.settings.number("spatial_scale", 1.0)
    pooled = call.add("MaxRoiPool", data, known, suffix="pooled", pooled_shape=size, spatial_scale=scale)
    return call.add("Where", exists, pooled, call.number("zero", 0))


def _items(call: Call) -> tuple[str, str]:
    """Return the numbers of the items as a column, and which of them exist: regions of others are 0.

    MXNet documents this, too, but its ROIAlign on the CPU sets other elements to 0 and leaves these undefined.
    """
    data, regions = call.inputs
    number = call.add("Cast", columns(call, regions, 0, 1), suffix="number", to=_INDEX)
    last = call.add("Sub", sizes(call, (data, 0)), call.integers("one", [1]), suffix="last")
    lowered = call.add("Min", number, last, suffix="lowered")
    item = call.add("Max", lowered, call.integers("first", [0]), suffix="item")
    exists = call.add("Equal", item, number, suffix="exists")
    return item, call.add("Unsqueeze", exists, call.integers("axes", [2, 3]), suffix="exists")


OPERATORS: dict[str, Callable[[Call], str]] = {"ROIPooling": roi_pooling, "_contrib_ROIAlign": roi_align}
