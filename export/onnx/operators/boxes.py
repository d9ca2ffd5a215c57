"""Arithmetic of bounding boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from export.onnx.graph import Call, Tensor

FORMATS = ("corner", "center")


def columns(call: Call, boxes: Tensor | str, start: int, stop: int) -> str:
    """Return the elements from ``start`` to ``stop`` along the last axis."""
    bounds = (call.integers(name, [value]) for name, value in (("start", start), ("stop", stop), ("axis", -1)))
    return call.add("Slice", boxes, *bounds, suffix="columns")


def corners(call: Call, boxes: Tensor | str, format_: str) -> tuple[str, str]:
    """Return the low and the high corners of ``boxes``, which are given as these or as centers and sizes."""
    first, second = columns(call, boxes, 0, 2), columns(call, boxes, 2, 4)
    if format_ == "corner":
        return first, second
    half = call.add("Mul", second, call.number("half", 0.5), suffix="half")
    return call.add("Sub", first, half, suffix="low"), call.add("Add", first, half, suffix="high")


def centers(call: Call, boxes: Tensor | str, format_: str) -> tuple[str, str]:
    """Return the centers and the sizes of ``boxes``."""
    first, second = columns(call, boxes, 0, 2), columns(call, boxes, 2, 4)
    if format_ == "center":
        return first, second
    size = call.add("Sub", second, first, suffix="extent")
    half = call.add("Mul", size, call.number("half", 0.5), suffix="half")
    return call.add("Add", first, half, suffix="center"), size


def box_iou(call: Call) -> str:
    """``_contrib_box_iou``: the intersection over the union of each box of the first with each of the second."""
    format_ = call.settings.only("format", *FORMATS)
    left, right = call.inputs
    axes = call.integers("axes", range(left.rank - 1, left.rank + right.rank - 2))
    both: tuple[Tensor | str, ...] = (call.add("Unsqueeze", left, axes, suffix="raised"), right)
    lows, highs = zip(*(corners(call, boxes, format_) for boxes in both))
    start, end = call.add("Max", *lows, suffix="start"), call.add("Min", *highs, suffix="end")
    overlap = _area(call, call.add("Sub", end, start, suffix="extent"))
    areas = [_area(call, centers(call, boxes, format_)[1]) for boxes in both]
    union = call.add("Sub", call.add("Add", *areas, suffix="areas"), overlap, suffix="union")
    zero = call.number("zero", 0)
    overlaps = call.add("Greater", overlap, zero, suffix="overlaps")
    ratio = call.add("Where", overlaps, call.add("Div", overlap, union, suffix="ratio"), zero, suffix="iou")
    return call.add("Squeeze", ratio, call.integers("axis", [-1]))


def _area(call: Call, extent: str) -> str:
    """Return width times height, 0 if one of them is negative."""
    positive = call.add("Relu", extent, suffix="positive")
    return call.add("Mul", columns(call, positive, 0, 1), columns(call, positive, 1, 2), suffix="area")


def box_decode(call: Call) -> str:
    """``_contrib_box_decode``: boxes from their differences to the anchors, which all items share."""
    settings = call.settings
    deviations = [settings.number(f"std{place}", 1.0) for place in range(4)]
    limit, format_ = settings.number("clip", -1.0), settings.only("format", *FORMATS[::-1])
    data, anchors = call.inputs
    return call.add("Concat", *decoded(call, data, anchors, deviations, limit, format_), axis=-1)


def decoded(
    call: Call, data: Tensor | str, anchors: Tensor, deviations: ArrayLike, limit: float, format_: str
) -> tuple[str, str]:
    """Return the corners of the boxes; a positive ``limit`` is that of the logarithms of how much they grow."""
    center, size = centers(call, anchors, format_)
    scaled = call.add("Mul", data, call.constant("deviations", deviations, anchors.dtype), suffix="scaled")
    shift = call.add("Mul", columns(call, scaled, 0, 2), size, suffix="shift")
    middle = call.add("Add", shift, center, suffix="middle")
    growth = columns(call, scaled, 2, 4)
    if limit > 0:
        growth = call.add("Min", growth, call.number("limit", limit), suffix="growth")
    extent = call.add("Mul", call.add("Exp", growth, suffix="factor"), size, suffix="extent")
    half = call.add("Mul", extent, call.number("half", 0.5), suffix="half")
    return call.add("Sub", middle, half, suffix="low"), call.add("Add", middle, half, suffix="high")


def box_encode(call: Call) -> list[str]:
    """``_contrib_box_encode``: differences of matched boxes to anchors, and a mask of the anchors in use."""
    samples, matches, anchors, boxes, means, deviations = call.inputs
    axes = call.integers("axes", [-1])
    whole = call.add("Cast", matches, suffix="whole", to=np.dtype(np.int64))
    index = call.add("Unsqueeze", whole, axes, suffix="index")
    matched = call.add("GatherND", boxes, index, suffix="matched", batch_dims=1)
    (middle, extent), (center, size) = centers(call, matched, "corner"), centers(call, anchors, "corner")
    shift = call.add("Div", call.add("Sub", middle, center, suffix="distance"), size, suffix="shift")
    growth = call.add("Log", call.add("Div", extent, size, suffix="factor"), suffix="growth")
    both = call.add("Concat", shift, growth, suffix="both", axis=-1)
    scaled = call.add("Div", call.add("Sub", both, means, suffix="centered"), deviations, suffix="scaled")
    chosen = call.add("Greater", samples, call.number("half", 0.5), suffix="chosen")
    mask = call.add("Unsqueeze", chosen, axes, suffix="raised")
    zero, one = call.number("zero", 0), call.number("one", 1)
    targets = call.add("Where", mask, scaled, zero, suffix="targets")
    wide = call.add("Where", mask, one, zero, suffix="wide")
    return [targets, call.add("Expand", wide, call.integers("sizes", [1, 1, 4]), suffix="masks")]


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "_contrib_box_decode": box_decode,
    "_contrib_box_encode": box_encode,
    "_contrib_box_iou": box_iou,
}
