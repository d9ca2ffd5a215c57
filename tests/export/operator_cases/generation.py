"""Numbers from nothing, and from the shape of the data, whose batch size is open."""

from zoo.runtime import mx

S = mx.sym

CASES = [
    lambda x: S.broadcast_add(S.reshape(x, (-1, 9)), S.reshape(S.arange(-2, 2.5, 0.5), (1, 9))),
    lambda x: S.broadcast_mul(x, S.reshape(S.arange(4, repeat=81), (1, 4, 9, 9)) + S.ones((1, 4, 9, 9))),
    lambda x: S.sum(x, axis=(1, 2, 3)) + S.arange(1, step=0.5, infer_range=True),
    lambda x: S.contrib.arange_like(x, start=1, step=0.5, repeat=3),
    lambda x: S.contrib.arange_like(x, axis=0, start=1) * S.sum(x, axis=(1, 2, 3)),
    lambda x: S.contrib.arange_like(x, axis=-1, repeat=2),
    lambda x: S.dot(S.reshape(x, (-1, 9)), S.broadcast_add(S.eye(9, k=1), S.reshape(S.linspace(0, 1, 9), (1, 9)))),
    lambda x: S.ones_like(x) * 2 + S.zeros_like(x) + S.broadcast_mul(S.full((1, 4, 1, 1), 3), x),
    lambda x: S.ones_like(S.argmax(x, axis=0), dtype="int64") + S.zeros_like(S.sum(x, axis=0)),
    lambda x: S.sum(x, axis=(2, 3)) + S.zeros((0, 4)) + S.full((0, 4), 0.5),
    lambda x: S.contrib.div_sqrt_dim(x),
    lambda x: S.shape_array(x),
    lambda x: S.size_array(x),
]
