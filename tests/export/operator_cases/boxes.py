"""Bounding boxes: many that overlap, some that end before they start, equal scores, and several kinds."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var


def rows(x, width=9):
    """Boxes with further numbers, ``width`` each."""
    return S.reshape(x, (0, -1, width))


def scored(x):
    """Boxes as [kind, score, low corner, high corner, …], of kinds from 0 to 2; some scores are equal."""
    kind, score, rest = (S.slice_axis(rows(x), axis=2, begin=b, end=e) for b, e in ((0, 1), (1, 2), (2, 9)))
    return S.concat(S.floor(kind * 3), S.floor(score * 20) / 20, rest, dim=2)


def nms(x, **settings):
    return S.contrib.box_nms(x, **settings)


def encoded(x):
    samples, matches = (S.slice_axis(rows(x), axis=2, begin=b, end=b + 1).reshape((0, -1)) for b in (0, 1))
    low, size, other = (S.slice_axis(rows(x), axis=2, begin=b, end=b + 2) for b in (2, 4, 6))
    anchors, boxes = S.concat(low, low + size, dim=2), S.concat(other, other + size * 1.5, dim=2)
    means, deviations = V("means", shape=(4,)), V("deviations", shape=(4,))
    return S.contrib.box_encode(samples, S.floor(matches * 36), anchors, boxes, means, deviations)


def detection(x, **settings):
    """Detections of three kinds among 36 anchors."""
    anchors = S.contrib.MultiBoxPrior(S.slice_axis(x, axis=2, begin=0, end=4), sizes=0.5, ratios=2)
    scores = S.slice_axis(S.reshape(x, (0, 9, 36)), axis=1, begin=0, end=4)
    differences = S.slice_axis(S.reshape(x, (0, -1)), axis=1, begin=180, end=324)
    return S.contrib.MultiBoxDetection(S.floor(scores * 50) / 50, differences, anchors, **settings)


CASES = [
    lambda x: nms(scored(x), overlap_thresh=0.1, id_index=0, valid_thresh=0.3),
    lambda x: nms(scored(x), overlap_thresh=0.1, id_index=0, force_suppress=True, topk=20, background_id=1),
    lambda x: nms(scored(x), overlap_thresh=0.0, id_index=0, background_id=0, topk=100),
    lambda x: nms(S.reshape(scored(x), (0, 2, -1, 9)), overlap_thresh=0.3, valid_thresh=-1),
    lambda x: nms(S.reshape(scored(x), (-1, 9)).slice_axis(axis=0, begin=0, end=30), overlap_thresh=0.3, topk=9),
    lambda x: nms(rows(x - 0.3), overlap_thresh=0.2, coord_start=0, score_index=8, out_format="center"),
    lambda x: nms(rows(x - 0.3), overlap_thresh=0.2, coord_start=5, score_index=0, in_format="center", topk=30),
    lambda x: nms(rows(x), overlap_thresh=0.2, coord_start=1, score_index=0, in_format="center", out_format="center"),
    lambda x: nms(rows(x - 0.5), overlap_thresh=2, topk=10, coord_start=1, score_index=0),
    lambda x: nms(rows(x), valid_thresh=2) + nms(rows(x), topk=0),
    lambda x: S.contrib.box_iou(rows(x, 4), S.reshape(S.slice_axis(x, axis=0, begin=0, end=1), (0, 9, 9, 4))),
    lambda x: S.contrib.box_iou(rows(x - 0.3, 4), rows(x, 4), format="center"),
    lambda x: S.contrib.box_decode(rows(x, 4), V("anchors", shape=(1, 81, 4)), 0.1, 0.2, 0.3, 0.4),
    lambda x: S.contrib.box_decode(rows(x, 4), V("anchors", shape=(1, 81, 4)), std3=9, clip=0.7, format="corner"),
    lambda x: encoded(x)[0],
    lambda x: encoded(x)[1],
    lambda x: S.contrib.MultiBoxPrior(x, sizes=(0.5, 0.3), ratios=(2, 1, 0.5)),
    lambda x: S.contrib.MultiBoxPrior(x, sizes=0.9, ratios=3, clip=True, steps=(0.1, 0.2), offsets=(0, 1)),
    lambda x: detection(x),
    lambda x: detection(x, nms_threshold=0.2, force_suppress=True, clip=False, threshold=0.7),
    lambda x: detection(x, nms_topk=15, nms_threshold=0.1, variances=(0.2, 0.3, 0.4, 0.5)),
    lambda x: detection(x, nms_threshold=0, threshold=0.6),
    lambda x: detection(x, threshold=2),
]
