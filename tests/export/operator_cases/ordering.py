"""Sorting. The data hold no element twice, as MXNet leaves open in which order equal ones are."""

from zoo.runtime import mx

S = mx.sym

CASES = [
    lambda x: S.BlockGrad(S.sort(x)) + S.sort(x, axis=1, is_ascend=False),
    lambda x: S.sort(x, axis=0) + S.reshape_like(S.BlockGrad(S.sort(x, axis=None)), x),
    lambda x: S.argsort(x) + S.argsort(x, axis=1, is_ascend=False) + S.argsort(x, axis=0),
    lambda x: S.argsort(x, axis=None, dtype="int32"),
    lambda x: S.topk(x, k=3) + S.topk(x, k=3, ret_typ="value", is_ascend=True) + S.topk(x, k=9, ret_typ="mask")
    .slice_axis(axis=-1, begin=0, end=3),
    lambda x: S.topk(x, k=2, axis=1, dtype="int64"),
    lambda x: S.topk(x, k=5, axis=2, ret_typ="both")[0] * S.topk(x, k=5, axis=2, ret_typ="both", is_ascend=True)[1],
    lambda x: S.topk(x, k=3, axis=1, ret_typ="mask", is_ascend=True) + S.topk(x, axis=None, k=50, ret_typ="mask"),
    lambda x: S.topk(x, k=0, axis=0, ret_typ="value"),
    lambda x: S.topk(x, k=20, axis=None, ret_typ="indices"),
]  # fmt: skip
