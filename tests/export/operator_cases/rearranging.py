"""Cutting, repeating and resizing, often to the shape of another tensor."""

from zoo.runtime import mx

S, V = mx.sym, mx.sym.var
W = V("w", shape=(1, 4, 1, 1))
RAMP = V("ramp", shape=(6, 5, 12, 10))


def smaller(x):
    return S.slice_axis(S.slice_axis(x, axis=2, begin=0, end=4), axis=3, begin=2, end=5)


def resized(x, **settings):
    return S.contrib.BilinearResize2D(x, **settings)


CASES = [
    lambda x: S.slice_like(RAMP, x, axes=(2, 3)),
    lambda x: S.slice_like(RAMP, x) + x,
    lambda x: S.slice_like(x, smaller(x), axes=(-1,)),
    lambda x: S.reshape_like(S.Flatten(x), x) + x,
    lambda x: S.reshape_like(S.reshape(x, (0, 0, -1)), x, lhs_begin=2, lhs_end=None, rhs_begin=2, rhs_end=None),
    lambda x: S.reshape_like(S.reshape(x, (0, 2, 2, 9, 9)), x, lhs_begin=1, lhs_end=-2, rhs_begin=-3, rhs_end=2),
    lambda x: S.reverse(x, axis=(1, 3)) + S.flip(x, axis=0),
    lambda x: S.depth_to_space(x, block_size=2),
    lambda x: S.space_to_depth(S.slice_axis(x, axis=3, begin=0, end=8).slice_axis(axis=2, begin=1, end=9), 2),
    lambda x: S.diag(x, axis1=2, axis2=3, k=1),
    lambda x: S.diag(x, axis1=3, axis2=-3, k=-2),
    lambda x: S.tile(x, reps=(2, 3)) + S.BlockGrad(S.reshape(S.tile(x, reps=(1, 1, 1, 2, 3)), (-3, 0, 0, 0))),
    lambda x: S.tile(x, reps=(2, 1, 1, 1)),
    lambda x: S.repeat(x, repeats=2, axis=0) + S.repeat(S.tile(x, (2, 1, 1, 1)), repeats=1, axis=-1),
    lambda x: S.repeat(x, repeats=3, axis=-2),
    lambda x: S.repeat(x, repeats=2),
    lambda x: S.broadcast_mul(S.broadcast_axis(W, axis=(0, 2), size=(1, 9)), x),
    lambda x: S.broadcast_to(S.slice_axis(x, axis=2, begin=0, end=1), shape=(0, 4, 5, 9)),
    lambda x: S.broadcast_like(W, x) + S.broadcast_like(S.max(x, axis=-1, keepdims=True), x),
    lambda x: S.broadcast_like(W, x, lhs_axes=(0, -1), rhs_axes=(0, 3)),
    lambda x: resized(x, height=5, width=20) + resized(x, height=5, width=20, align_corners=False),
    lambda x: resized(x, height=1, width=1) + resized(x, height=1, width=1, align_corners=False) * 2,
    lambda x: resized(x, scale_height=2.5, scale_width=0.4, mode="size", align_corners=False),
    lambda x: resized(x, scale_height=2, scale_width=0.5, mode="odd_scale"),
    lambda x: resized(smaller(x), like=x, mode="like") + resized(smaller(x), like=x, mode="like", align_corners=False),
    lambda x: resized(x, mode="to_even_down") * resized(resized(x, mode="to_even_up"), mode="size", height=8, width=8),
    lambda x: resized(resized(x, mode="to_even_up"), mode="to_odd_down") * resized(x, mode="to_odd_up"),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x, output_size=(2, 4)),
    lambda x: S.contrib.AdaptiveAvgPooling2D(smaller(x), output_size=(6, 2)),
    lambda x: S.contrib.SyncBatchNorm(x, fix_gamma=False, ndev=2, key="norm", eps=1e-2),
]  # fmt: skip
