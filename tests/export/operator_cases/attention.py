"""Attention over 9 steps of the items of a batch, with 2 heads of projections that are 6 or 9 wide."""

from zoo.runtime import mx

S, C = mx.sym, mx.sym.contrib


def projections(x, *shape):  # from (batch, 4, 9, 9) to (9, batch, …)
    return S.transpose(S.reshape(x, shape=(0, *shape)), axes=(1, 0, 2))


def attention(x):
    return C.interleaved_matmul_selfatt_qk(projections(x, 9, 36), heads=2)


CASES = [
    lambda x: attention(x),
    lambda x: C.interleaved_matmul_selfatt_valatt(projections(x, 9, 36), S.softmax(attention(x)), heads=2),
    lambda x: C.interleaved_matmul_encdec_qk(projections(x, 18, 18), projections(x, 9, 36), heads=2),
    lambda x: C.interleaved_matmul_encdec_valatt(
        projections(x, 9, 36), C.interleaved_matmul_encdec_qk(projections(x, 18, 18), projections(x, 9, 36), heads=2),
        heads=2),
    lambda x: C.div_sqrt_dim(x),
]  # fmt: skip
