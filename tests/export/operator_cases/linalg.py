"""Products of matrices, vectors and arrays of more dimensions."""

from zoo.runtime import mx

S, V, L = mx.sym, mx.sym.var, mx.sym.linalg


CASES = [
    lambda x: S.dot(x, V("w", shape=(9, 5))) + S.dot(x, V("w2", shape=(5, 9)), transpose_b=True),
    lambda x: S.dot(x, V("w", shape=(9, 2, 3))),
    lambda x: S.dot(S.reshape(x, shape=(0, -1)), V("w", shape=(3, 2, 324)), transpose_b=True),
    lambda x: S.broadcast_add(S.dot(x, V("w", shape=(9,))), S.dot(V("v", shape=(5,)), V("u", shape=(5, 9)))),
    lambda x: S.dot(V("w", shape=(6, 9)), S.transpose(x)),
    lambda x: S.dot(x, x, transpose_a=True),
    lambda x: S.broadcast_mul(x, S.dot(V("w", shape=(4,)), V("v", shape=(4,)))),
    lambda x: S.batch_dot(S.reshape(x, shape=(-1, 9, 9)), S.reshape(x, shape=(-1, 9, 9)), transpose_a=True),
    lambda x: L.gemm2(x, x, transpose_b=True, alpha=0.3) + L.gemm2(x, x) + L.gemm2(x, x, transpose_a=True),
    lambda x: L.gemm2(x, x, transpose_a=True, axis=1),
    lambda x: L.gemm(x, x, x, beta=0.5) + L.gemm(x, x, x, transpose_b=True, alpha=2),
    lambda x: L.gemm(S.slice_axis(x, axis=3, begin=0, end=4), x, x, alpha=2, beta=0.5, axis=1),
    lambda x: L.syrk(x) + L.syrk(x, transpose=True, alpha=0.5),
]
