"""Suppression of boxes that overlap with boxes of higher scores."""

from __future__ import annotations

import math

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.operators.boxes import FORMATS, columns, corners
from export.onnx.sizes import sizes_of

_INDEX = np.dtype(np.int64)


def box_nms(call: Call) -> str:
    """``_contrib_box_nms`` as TopK, NonMaxSuppression, and TopK again, which moves the kept boxes to the front."""
    settings, (boxes, width) = call.settings, call.data.shape[-2:]
    threshold, most = settings.number("overlap_thresh", 0.5), settings.integer("topk", -1)
    start, kind = settings.integer("coord_start", 2), settings.integer("id_index", -1)
    before, after = (settings.only(f"{side}_format", *FORMATS) for side in ("in", "out"))
    apart = not settings.flag("force_suppress", False) and kind >= 0
    if not isinstance(boxes, int) or not isinstance(width, int):
        raise call.refusal("the number of its boxes is not fixed")
    if threshold < 0:
        raise call.refusal(f"overlap_thresh={threshold} is negative")
    count = boxes if most < 0 else min(boxes, most)
    data: Tensor | str = call.data
    if call.data.rank != 3:
        data = call.add("Reshape", data, call.integers("flat", [-1, boxes, width]), suffix="flat")
    scores = _scores(call, data, kind)
    if count == 0:  # then MXNet copies the data
        return call.data.name
    best, rows = ordered(call, scores, data, count)
    kept = call.add("Greater", best, call.number("lowest", -math.inf), suffix="kept")
    if threshold < 1:  # otherwise, no overlap exceeds it
        ranks = call.constant("ranks", range(count, 0, -1), call.data.dtype)
        scores = call.add("Where", kept, ranks, call.number("none", 0), suffix="scores")
        low, high = corners(call, columns(call, rows, start, start + 4), before)
        groups = grouped(call, scores, rows, kind) if apart else None
        scores = suppressed(call, scores, low, high, groups, threshold)
        best, rows = ordered(call, scores, rows, count)
        kept = call.add("Greater", best, call.number("none", 0), suffix="kept")
    whole = call.add("Unsqueeze", kept, call.integers("last", [-1]), suffix="whole")
    rows = call.add("Where", whole, rows, call.number("removed", -1), suffix="rows")
    if after != before:
        rows = _converted(call, rows, start, width, before)
    missing = call.integers("missing", [0, 0, 0, 0, boxes - count, 0])
    padded = call.add("Pad", rows, missing, call.number("removed", -1), suffix="padded")
    return call.add("Reshape", padded, sizes_of(call, call.data))


def _column(call: Call, rows: Tensor | str, place: int) -> str:
    return call.add("Gather", rows, call.constant("place", place, _INDEX), suffix="column", axis=2)


def _scores(call: Call, data: Tensor | str, kind: int) -> str:
    """Return the scores, minus infinity for boxes that take no part."""
    least, background = call.settings.number("valid_thresh", 0.0), call.settings.integer("background_id", -1)
    scores = _column(call, data, call.settings.integer("score_index", 1))
    valid = call.add("Greater", scores, call.number("least", least), suffix="valid")
    if kind >= 0:
        ignored = call.add("Equal", _column(call, data, kind), call.number("background", background), suffix="ignored")
        valid = call.add("And", valid, call.add("Not", ignored, suffix="counted"), suffix="valid")
    return call.add("Where", valid, scores, call.number("lowest", -math.inf), suffix="scores")


def ordered(call: Call, scores: str, rows: Tensor | str, count: int) -> tuple[str, str]:
    """Return the ``count`` highest scores, and the rows that have them; of equal scores, the first comes first."""
    best, index = (call.graph.unique(f"{call.name}_{suffix}") for suffix in ("best", "index"))
    call.graph.add("TopK", [scores, call.integers("count", [count])], [best, index], axis=1)
    places = call.add("Unsqueeze", index, call.integers("last", [-1]), suffix="places")
    return best, call.add("GatherND", rows, places, suffix="ordered", batch_dims=1)


def grouped(call: Call, scores: str, rows: str, kind: int) -> str:
    """Return the scores by kind, (batch, kinds, boxes), 0 for boxes of other kinds."""
    none, one, axis = call.number("none", 0), call.constant("one", 1, _INDEX), call.integers("axis", [1])
    whole = call.add("Cast", _column(call, rows, kind), suffix="whole", to=_INDEX)
    kept = call.add("Greater", scores, none, suffix="kept")
    kinds = call.add("Where", kept, whole, call.constant("zero", 0, _INDEX), suffix="kinds")
    low, high = (call.add(operator, kinds, suffix="kind", keepdims=0) for operator in ("ReduceMin", "ReduceMax"))
    possible = call.add("Range", low, call.add("Add", high, one, suffix="end"), one, suffix="possible")
    rows, column = (call.add("Unsqueeze", each, axis, suffix="raised") for each in (kinds, possible))
    same = call.add("Equal", rows, column, suffix="same")
    return call.add("Where", same, call.add("Unsqueeze", scores, axis, suffix="raised"), none, suffix="groups")


def suppressed(call: Call, scores: str, low: str, high: str, groups: str | None, threshold: float) -> str:
    """Return the scores, 0 for boxes that overlap with a box of a higher score, in their group if there are some."""
    groups = groups or call.add("Unsqueeze", scores, call.integers("axis", [1]), suffix="group")
    # ONNX takes corners in any order; boxes that end before they start have no area in MXNet.
    boxes = call.add("Concat", low, call.add("Max", low, high, suffix="end"), suffix="boxes", axis=-1)
    limits = [call.integers("most", [np.iinfo(np.int64).max]), call.constant("overlap", [threshold], np.float32)]
    found = call.add(
        "NonMaxSuppression", boxes, groups, *limits, call.constant("least", [0], np.float32), suffix="found"
    )
    places = call.add("Gather", found, call.integers("batch_and_box", [0, 2]), suffix="places", axis=1)
    zeros = call.add("Mul", scores, call.number("none", 0), suffix="zeros")
    return call.add("ScatterND", zeros, places, call.add("GatherND", scores, places, suffix="found"), suffix="scores")


def _converted(call: Call, rows: str, start: int, width: int, before: str) -> str:
    """Return the rows with boxes in the other format; like MXNet, leave those that start below 0 as they are."""
    coordinates = columns(call, rows, start, start + 4)
    first, second = corners(call, coordinates, before)
    if before == "corner":
        half = call.number("half", 0.5)
        middle = call.add("Mul", call.add("Add", first, second, suffix="sum"), half, suffix="middle")
        first, second = middle, call.add("Sub", second, first, suffix="extent")
    converted = call.add("Concat", first, second, suffix="converted", axis=-1)
    negative = call.add("Less", columns(call, coordinates, 0, 1), call.number("none", 0), suffix="negative")
    chosen = call.add("Where", negative, coordinates, converted, suffix="chosen")
    outer = [columns(call, rows, *bounds) for bounds in ((0, start), (start + 4, width)) if bounds[0] < bounds[1]]
    outer.insert(bool(start), chosen)
    return call.add("Concat", *outer, suffix="rows", axis=-1)


OPERATORS = {"_contrib_box_nms": box_nms}
