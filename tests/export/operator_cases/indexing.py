"""Elements by index and by condition, with indices that lie outside where MXNet allows it."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var


def integers(x, low, high):
    """Integers from ``low`` to ``high``, in the shape of ``x``."""
    return S.floor(x * (high - low + 0.999)) + low


def first(x):
    """One element of each item."""
    return S.reshape(S.slice(x, begin=(None, 0, 0, 0), end=(None, 1, 1, 1)), (-1,))


CASES = [
    lambda x: S.take(x, integers(first(x), -2, 3)),
    lambda x: S.take(x, integers(S.slice_axis(x, axis=1, begin=0, end=1), -2, 12), axis=2),
    lambda x: S.take(x, integers(first(x), -12, 12), axis=-1, mode="wrap"),
    lambda x: S.pick(x, integers(S.max(x, axis=1), -2, 5), axis=1),
    lambda x: S.pick(x, integers(S.min(x, axis=3, keepdims=True), -12, 12), axis=-1, keepdims=True, mode="wrap"),
    lambda x: S.BlockGrad(S.batch_take(S.sum(x, axis=(2, 3)), S.cast(integers(first(x), -1, 4), "int32"))),
    lambda x: S.gather_nd(x, S.stack(S.contrib.arange_like(first(x)), integers(first(x), -4, 3), axis=0)),
    lambda x: S.gather_nd(x, S.zeros((4, 2, 3))),
    lambda x: S.scatter_nd(S.slice_axis(S.sum(x, axis=(0, 2)), axis=0, begin=0, end=2), S.arange(2).reshape((1, 2)),
                           shape=(5, 9)),
    lambda x: S.one_hot(integers(S.max(x, axis=1), -2, 6), depth=5, on_value=2, off_value=-1),
    lambda x: S.one_hot(integers(first(x), 0, 4), depth=3, dtype="int32"),
    lambda x: S.where(x > 0.5, x, 1 - x) + S.where(S.sum(x, axis=(1, 2, 3)) > 162, x, x * 2),
    lambda x: S.SequenceMask(x, integers(first(x), 0, 4), use_sequence_length=True, axis=1, value=-1),
    lambda x: S.SequenceMask(x, S.arange(4), use_sequence_length=True) + S.SequenceMask(x),
]  # fmt: skip
