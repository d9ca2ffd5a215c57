"""ONNX's operators as other programs write them: MXNet computes what ONNX Runtime does, open batch sizes included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphs
import pytest

import export
from zoo.runtime import mx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SHAPE = (4, 9, 9)
SHAPES = {
    "conv": (6, 2, 3, 3), "line": (3, 4, 5), "kernel": (4, 3, 2, 3), "bias": (6,), "four": (4,), "matrix": (9, 5),
    "five": (5,), "turned": (5, 324), "big": (324, 5), "slopes": (4, 1, 1), "plane": (1, 4, 9, 1), "rows": (7, 3),
    "one": (1,), "scalar": (),
}  # fmt: skip
CONSTANTS = {
    **{name: np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in SHAPES.items()},
    "begins": np.array([1, 0, -8]), "ends": np.array([3, 2**63 - 1, 2**63 - 1]), "axes": np.array([1, 3, 2]),
    "steps": np.array([1, 1, 3]), "three": np.array([2, 1]),
}  # fmt: skip


def compare(path: Path) -> None:
    """Check the network in ``path`` against ONNX Runtime, for two batch sizes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    net = export.from_onnx(path)
    for size in (1, 2):
        data = np.random.default_rng(size).random((size, *SHAPE), np.float32) - np.float32(0.3)
        expected, computed = session.run(None, {"x": data})[0], net(mx.nd.array(data)).asnumpy()
        assert computed.shape == expected.shape
        assert np.abs(computed - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


FORMS = [
    'y = Conv<auto_pad="SAME_UPPER", strides=[2,2], group=2>(x, conv, bias)',
    'y = Conv<auto_pad="SAME_LOWER", strides=[2,2], group=2>(x, conv)',
    "y = Conv<pads=[0,1,2,1], dilations=[2,1], group=2, kernel_shape=[3,3]>(x, conv, bias)",
    "s = Constant<value_ints=[0,4,81]>() r = Reshape(x, s) y = Conv<strides=[2]>(r, line)",
    "y = ConvTranspose<strides=[2,3], pads=[1,0,1,0], output_padding=[1,2]>(x, kernel)",
    "f = Flatten(x) y = Gemm<transB=1>(f, turned, five)",
    "f = Flatten<axis=-3>(x) y = Gemm(f, big, one)",
    "f = Flatten(x) t = Transpose(f) y = Gemm<transA=1>(t, big)",
    "p = MatMul(x, matrix) y = Add(five, p)",
    "p = MatMul(x, matrix) q = Relu(p) s = Add(p, five) y = Add(s, q)",
    "t = Transpose<perm=[0,1,3,2]>(x) y = MatMul(x, t)",
    "y = BatchNormalization<epsilon=0.01>(x, four, four, four, four)",
    "y = InstanceNormalization(x, four, four)",
    "w = Constant<value=float[9] {1,2,3,4,5,6,7,8,9}>() y = LayerNormalization(x, w)",
    "y = LRN<size=3, alpha=0.1, beta=0.5, bias=1.5>(x)",
    "y = PRelu(x, slopes)",
    "y = PRelu(x, one)",
    "a = HardSwish(x) b = HardSigmoid<alpha=0.3>(x) y = Add(a, b)",
    "a = Elu<alpha=0.4>(x) b = Selu(x) c = LeakyRelu(x) y = Sum(a, b, c)",
    "low = Constant<value_float=0.0>() six = Constant<value_float=0.4>() a = Clip(x, low) b = Clip(x, , six) "
    "c = Clip(a, low, six) y = Mul(b, c)",
    "y = Softmax<axis=1>(x)",
    "y = LogSoftmax(x)",
    "a = Softplus(x) b = Softsign(x) c = Erf(x) d = Tanh(x) y = Max(a, b, c, d)",
    "a = Sigmoid(x) b = Exp(a) c = Log(b) d = Sqrt(c) e = Neg(d) f = Abs(e) g = Reciprocal(f) y = Min(g, scalar)",
    "a = Floor(x) b = Ceil(x) c = Sign(x) d = Sin(x) e = Cos(x) y = Sum(a, b, c, d, e)",
    "a = Sub(scalar, x) b = Div(a, plane) c = Pow(b, scalar) d = Abs(c) e = Pow(scalar, x) f = Add(d, e) "
    "y = Div(one, f)",
    "y = Sum(plane, x)",
    "g = Greater(x, scalar) l = LessOrEqual(scalar, x) h = GreaterOrEqual(x, plane) "
    "a = Cast<to=1>(g) b = Cast<to=1>(l) c = Cast<to=1>(h) y = Sum(a, b, c)",
    "z = Constant<value_float=0.1>() g = Less(x, z) y = Where(g, z, x)",
    "i = Cast<to=7>(x) b = Cast<to=9>(i) y = Cast<to=1>(b)",
    "y = MaxPool<kernel_shape=[3,3], strides=[2,2], ceil_mode=1>(x)",
    "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)",
    "y = MaxPool<kernel_shape=[3,2], strides=[2,2], pads=[1,0,1,1]>(x)",
    "y = MaxPool<kernel_shape=[3,3], strides=[3,3], pads=[2,0,0,0]>(x)",
    'y = MaxPool<kernel_shape=[2,2], auto_pad="SAME_UPPER", strides=[2,2]>(x)',
    "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], count_include_pad=1>(x)",
    "y = AveragePool<kernel_shape=[3,3], pads=[1,0,2,0], count_include_pad=1>(x)",
    "y = AveragePool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)",
    "y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)",
    "y = LpPool<kernel_shape=[3,3], strides=[2,2], pads=[1,0,0,1]>(x)",
    "a = GlobalAveragePool(x) b = GlobalMaxPool(x) y = Concat<axis=1>(a, b)",
    's = Constant<value_floats=[1.0,1.0,2.0,2.0]>() y = Resize<mode="nearest", nearest_mode="floor", '
    'coordinate_transformation_mode="asymmetric">(x, , s)',
    's = Constant<value_floats=[1.0,1.0,3.0,3.0]>() y = Resize<mode="nearest">(x, , s)',
    "a = Shape(x) i = Constant<value_int=0>() n = Gather<axis=0>(a, i) u = Constant<value_ints=[0]>() "
    "m = Unsqueeze(n, u) r = Constant<value_ints=[-1]>() s = Concat<axis=0>(m, r) y = Reshape(x, s)",
    "a = Shape(x) b = Shape<start=2>(x) p = ReduceProd<keepdims=1>(b) h = Shape<end=2>(x) s = Concat<axis=0>(h, p) "
    "r = Reshape(x, s) y = Reshape(r, a)",
    "s = Constant<value_ints=[-1,9]>() y = Reshape(x, s)",
    "a = Constant<value_ints=[1,-1]>() u = Unsqueeze(x, a) s = Squeeze(u, a) y = Transpose(s)",
    "n = Constant<value_ints=[1,3]>() a, b = Split<axis=1>(x, n) c, d = Split<axis=1>(b, three) "
    "y = Concat<axis=1>(d, a)",
    "a, b, c = Split<axis=2>(x) y = Sum(c, a, b)",
    "y = Slice(x, begins, ends, axes, steps)",
    "p = Constant<value_ints=[0,0,1,2,0,0,3,4]>() y = Pad(x, p, scalar)",
    'p = Constant<value_ints=[0,0,1,2,0,0,3,4]>() y = Pad<mode="reflect">(x, p)',
    "i = Constant<value_int=-1>() y = Gather<axis=2>(x, i)",
    "f = Constant<value_float=3.0>() a = Mul(x, f) b = Abs(a) i = Cast<to=7>(b) r = Gather(rows, i) y = Neg(r)",
    "a = Sign(x) i = Cast<to=7>(a) y = Gather(rows, i)",
    "a = ReduceMean<axes=[2,3]>(x) b = ReduceMax<axes=[-1,-2]>(x) c = Sub(a, b) y = Flatten(c)",
    "d = Constant<value_ints=[1]>() y = ReduceSum<keepdims=0>(x, d)",
    "a = ReduceL2<axes=[1]>(x) b = ReduceL1<axes=[1]>(x) c = ReduceMin<axes=[1]>(x) y = Sum(a, b, c)",
    "i = ArgMax<axis=1>(x) j = ArgMin<axis=1, keepdims=0>(x) a = Cast<to=1>(i) b = Cast<to=1>(j) "
    "d = Constant<value_ints=[1]>() y = Unsqueeze(b, d)",
    "r = Constant<value_float=0.4>() d, m = Dropout(x, r) y = Identity(d)",
]


@pytest.mark.parametrize("graph", FORMS, ids=lambda graph: graph[:60])
def test_it_computes_what_onnx_runtime_does(graph: str, tmp_path: Path):
    compare(onnx_graphs.write(tmp_path / "model.onnx", graph, CONSTANTS, output=None))
