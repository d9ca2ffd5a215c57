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
]
