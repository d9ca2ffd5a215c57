"""Anchors and detections of MXNet's own SSD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call
from export.onnx.operators.boxes import columns, decoded
from export.onnx.operators.suppression import grouped, ordered, suppressed

_END = np.iinfo(np.int64).max


def multibox_prior(call: Call) -> str:
    """``_contrib_MultiBoxPrior`` as a constant: it reads the data's height and width only."""
    height, width = call.data.shape[2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise call.refusal("the size of its input is not fixed")
    sizes, ratios = _numbers(call, "sizes", 1.0), np.sqrt(_numbers(call, "ratios", 1.0))
    steps, offsets = _numbers(call, "steps", -1.0, -1.0), _numbers(call, "offsets", 0.5, 0.5)
    if min(steps) <= 0:
        steps = 1 / np.array([height, width], np.float32)
    # Every size with the first ratio, then the first size with the other ratios.
    size = np.concatenate([sizes, np.repeat(sizes[:1], len(ratios) - 1)])
    ratio = np.concatenate([np.repeat(ratios[:1], len(sizes)), ratios[1:]])
    half = np.stack([size * np.float32(height) / np.float32(width) * ratio, size / ratio], axis=1) / 2
    y, x = ((np.arange(count) + offset) * step for count, offset, step in zip((height, width), offsets, steps))
    centers = np.stack(np.meshgrid(x, y), axis=2)[:, :, None]
    boxes = np.concatenate([centers - half, centers + half], axis=3)
    if call.settings.flag("clip", False):
        boxes = boxes.clip(0, 1)
    return call.constant("boxes", boxes.reshape(1, -1, 4), call.outputs[0][1])


def _numbers(call: Call, key: str, *default: float) -> np.ndarray:
    return np.atleast_1d(np.array(call.settings.get(key, default), np.float32))


def multibox_detection(call: Call) -> str:
    """``_contrib_MultiBoxDetection``: rows of kind, score and box; of suppressed boxes, only the kind becomes -1."""
    settings, count = call.settings, call.shape[1]
    settings.ignore("background_id")  # MXNet's is always 0
    threshold, most = settings.number("nms_threshold", 0.5), settings.integer("nms_topk", -1)
    apart = not settings.flag("force_suppress", False)
    if not isinstance(count, int):
        raise call.refusal("the number of its boxes is not fixed")
    places, none, removed = np.arange(count), call.number("none", 0), call.number("removed", -1)
    scores, rows = _detections(call, count)
    valid = call.add("Greater", scores, removed, suffix="valid")
    ranks = call.constant("ranks", count - places, call.data.dtype)
    first = call.add("Where", valid, ranks, none, suffix="first")
    best, found = ordered(call, first, rows, count)
    exists = call.add("Greater", best, none, suffix="exists")
    kept = exists
    if 0 < threshold <= 1:
        compared = places < (most if most > 0 else count)
        _, sorted_ = ordered(call, scores, rows, count)
        # The rows behind the compared ones are not sorted.
        found = call.add("Where", call.constant("compared", compared[:, None]), sorted_, found, suffix="found")
        ranks = call.constant("ranks", np.where(compared, count - places, 0), call.data.dtype)
        ranked = call.add("Where", exists, ranks, none, suffix="ranked")
        groups = grouped(call, ranked, found, 0) if apart else None
        bounds = columns(call, found, 2, 4), columns(call, found, 4, 6)
        # Unlike box_nms, it suppresses at the threshold itself.
        ranked = suppressed(call, ranked, *bounds, groups, np.nextafter(np.float32(threshold), np.float32(0)))
        kept = call.add("Greater", ranked, none, suffix="kept")
    last = call.integers("last", [-1])
    exists, kept = (call.add("Unsqueeze", each, last, suffix="raised") for each in (exists, kept))
    kinds = call.add("Where", kept, columns(call, found, 0, 1), removed, suffix="kinds")
    marked = call.add("Concat", kinds, columns(call, found, 1, 6), suffix="marked", axis=2)
    return call.add("Where", exists, marked, removed)


def _detections(call: Call, count: int) -> tuple[str, str]:
    """Return scores, (batch, boxes), -1 where none is high enough, and rows of kind, score and box for all."""
    probabilities, differences, anchors = call.inputs
    settings = call.settings
    least, inside = settings.number("threshold", 0.01), settings.flag("clip", True)
    variances = _numbers(call, "variances", 0.1, 0.1, 0.2, 0.2)
    start, end, one = (call.integers(name, [value]) for name, value in (("start", 1), ("end", _END), ("one", 1)))
    foreground = call.add("Slice", probabilities, start, end, one, suffix="foreground")
    names = [call.graph.unique(f"{call.name}_{suffix}") for suffix in ("best", "kind")]
    call.graph.add("TopK", [foreground, one], names, axis=1)
    kinds = call.add("Cast", names[1], suffix="kinds", to=np.dtype(call.data.dtype))
    score, kind = (call.add("Transpose", each, suffix="column", perm=[0, 2, 1]) for each in (names[0], kinds))
    offsets = call.add("Reshape", differences, call.integers("boxes", [0, count, 4]), suffix="offsets")
    corners = decoded(call, offsets, anchors, variances, 0.0, "corner")
    boxes = call.add("Concat", *corners, suffix="boxes", axis=2)
    if inside:
        boxes = call.add("Clip", boxes, call.number("zero", 0), call.number("one", 1), suffix="clipped")
    enough = call.add("GreaterOrEqual", score, call.number("least", least), suffix="enough")
    scores = call.add("Where", enough, score, call.number("removed", -1), suffix="scores")
    rows = call.add("Concat", kind, score, boxes, suffix="rows", axis=2)
    return call.add("Squeeze", scores, call.integers("last", [2]), suffix="scores"), rows


OPERATORS: dict[str, Callable[[Call], str]] = {
    "_contrib_MultiBoxDetection": multibox_detection,
    "_contrib_MultiBoxPrior": multibox_prior,
}
