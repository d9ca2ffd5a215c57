"""Operators of MXNet's NumPy interface, between data and outputs of the other one."""

import functools

from zoo.runtime import mx

N, X, V = mx.sym.np, mx.sym.npx, mx.sym.var


def between(case):
    return functools.wraps(case)(lambda x: case(x.as_np_ndarray()).as_nd_ndarray())


def weight(*shape, name="w"):
    return V(name, shape=shape).as_np_ndarray()


_CASES = [
    lambda x: N.abs(x - 0.5) + N.exp(x) - N.negative(x) * N.sqrt(x) / (1 + N.square(x)),
    lambda x: (2 - x) / 3 + 2 / (x + 1) + x**2 + 2**x + N.power(x, x),
    lambda x: N.sin(x) + N.cos(x) + N.tanh(x) + N.log(x + 1) + N.floor(x * 3) + N.ceil(x * 3) + N.sign(x - 0.5),
    lambda x: N.arcsin(x) + N.arccos(x) + N.arctan(x) + N.tan(x) + N.sinh(x) + N.cosh(x) + N.cbrt(x - 0.5),
    lambda x: N.arcsinh(x) + N.arccosh(x + 1) + N.arctanh(x * 0.9) + N.degrees(x) + N.radians(x) + N.expm1(x),
    lambda x: N.log1p(x) + N.log2(x + 1) + N.log10(x + 1) + N.fix(x * 8 - 4) + N.rint(x * 8) + N.trunc(x * 8 - 4),
    lambda x: N.mod(x * 8 - 4, weight(9)) + (x * 8 - 4) % 0.7 + 3 % (x + 1),
    lambda x: (x > 0.5) * x + (x * 9).astype("int32") * 2 * x + x / (x * 9 + 1).astype("int32") + x**2 % (x + 1),
    lambda x: x[:, 1:3] * x[:, -1:] + x[:, 0:4:2, ::-1],
    lambda x: X.relu(x - 0.5) + X.sigmoid(x) + N.reciprocal(x + 1) + N.copy(x),
    lambda x: N.where(x > 0.5, x, -x) + N.where(x >= 0.5, 1.0, x) + N.where(x < 0.2, x, 2.0) + N.where(x, 1.0, 2.0),
    lambda x: (x != 0.5).astype("float32") + (x <= 0.5) * x + (N.floor(x * 2) == 1) * x,
    lambda x: N.greater(x, 1 - x) * x + N.less(x, weight(9)) * x + N.equal(x, x) * x + N.not_equal(x, 1 - x) * x,
    lambda x: N.greater_equal(x, 1 - x) * x + N.less_equal(x, weight(9)) * x,
    lambda x: N.sum(x, axis=1) + N.mean(x, axis=1) + N.max(x, axis=1) + N.min(x, axis=1) + N.prod(x, axis=-3),
    lambda x: N.sum(x, axis=(1, -1), keepdims=True) + N.max(x, axis=-1, keepdims=True),
    lambda x: N.std(x, axis=1, keepdims=True) + N.var(x, axis=(2, 3), keepdims=True),
    lambda x: (N.argmax(x, axis=1) + N.argmin(x, axis=1)).astype("float32"),
    lambda x: N.reshape(N.transpose(x, (0, 2, 3, 1)), (-1, 36)) + X.reshape(x, (-5, -4)).reshape(-1, 36),
    lambda x: N.squeeze(N.expand_dims(x, 1), 1) + N.swapaxes(x, 2, 3) + N.moveaxis(x, (2, 3), (3, 2)),
    lambda x: N.concatenate([x, x * 2], axis=1) * N.concatenate([x, x], axis=-3),
    lambda x: N.stack([x, x * 2], axis=1) * N.vstack([x, x]).reshape(-1, 2, 4, 9, 9),
    lambda x: N.matmul(x, x) + N.dot(x, weight(9, 9)) + N.dot(x, N.ones((9, 9))),
    lambda x: N.einsum("bcij,ijk->bck", x, weight(9, 9, 2)) + N.tensordot(x, weight(9, 9, 2, name="v"), axes=2),
    lambda x: N.tensordot(x, weight(2, 4, 9), axes=((1, -1), (1, 2))),
    lambda x: (
        N.linalg.norm(x, axis=1) + N.linalg.norm(x, ord=1, axis=-3) + N.linalg.norm(x, axis=(1, 2), keepdims=True)
    ),
    lambda x: N.cumsum(x, axis=1) + N.flip(x, 1) + N.flip(x, (2, 3)) + x,
    lambda x: N.pad(x, ((0, 0), (1, 2), (0, 0), (3, 0))) + N.pad(x, ((0, 0), (2, 1), (0, 0), (1, 2)), mode="edge"),
    lambda x: N.pad(x, ((0, 0), (1, 2), (0, 0), (3, 0)), mode="reflect"),
    lambda x: N.split(x, 2, axis=1)[1] + N.split(x, (2,), axis=1)[0] + N.array_split(x, (1, 3), 1)[1],
    lambda x: N.array_split(x, 4, axis=2)[0] * N.broadcast_to(weight(1, 9), (3, 9)),
    lambda x: x * N.full_like(x, 2.5) + N.zeros((4, 1, 1)) + N.ones((9,)) * N.arange(9),
]
CASES = [between(case) for case in _CASES]
