"""ONNX files that cannot become networks: one sentence that names what is in the way, and never a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_graphs
import pytest
from onnx_graphs import OPEN

import export
import zoo

onnx = pytest.importorskip("onnx")
CONSTANTS = {
    "conv": np.ones((4, 4, 3, 3), np.float32), "infinite": np.full((1, 4, 1, 1), np.inf, np.float32),
    "four": np.ones(4, np.float32), "zero": np.array(0), "integers": np.arange(4), "above": np.float32(np.inf),
    "big": np.array([10**9]),
    "word": np.array(["word"]), "matrix": np.ones((9, 5), np.float32), "stack": np.ones((4, 9, 9), np.float32),
    "empty": np.ones((0, 4, 9, 9), np.float32), "large": np.zeros(10_000, np.int64),
    "from": np.array([0]), "to": np.array([4]), "one_more": np.array([1]), "half": np.ones(4, np.float16),
}  # fmt: skip


def refused(path: Path, words: str, **options: object) -> None:
    with pytest.raises(zoo.ZooError) as caught:
        export.from_onnx(path, **options)
    sentence = str(caught.value)
    assert str(path) in sentence and words in sentence and "\n" not in sentence


def case(graph: str, words: str, output: str = OPEN):
    return pytest.param(graph, words, output, id=graph[:60])


@pytest.mark.parametrize(
    "graph, words, output",
    [
        case("a = Mod(x, x) b = Hardmax(x) c = Mod(a, b) y = Relu(c)",
             "no translation of Mod ('a', 'c'), Hardmax ('b')"),
        case("a = Hardmax(x) b = Relu(a) c = LRN<size=4>(x) y = Add(b, c)",
             "Hardmax ('a'); the LRN 'c' (size=4 is not odd"),
        case("y = other.Relu(x)", "no translation of other.Relu ('y')"),
        case("w = RandomNormal<shape=[4,4,3,3]>() y = Conv(x, w)", "no translation of RandomNormal ('w')"),
        case("c = Cast<to=9>(zero) y = If<then_branch = one () => (float[a,b,c,d] t) { t = Relu(x) }, "
             "else_branch = two () => (float[a,b,c,d] e) { e = Abs(x) }>(c)", "no translation of If ('y')"),
        case("w = Relu(conv) y = Conv(x, w)", "the Conv 'y' (w is computed, and must be a constant here)"),
        case("y = Conv<group=4>(x, conv)", "the Conv 'y' ("),
        case("y = Add(x, infinite)", "infinite holds values that are not finite (4 of 4)"),
        case("y = MaxPool<kernel_shape=[2,2], dilations=[2,2]>(x)", "no translation of dilations=(2, 2)"),
        case('y = MaxPool<kernel_shape=[200000,1], auto_pad="SAME_UPPER">(x)', "not from 1 to 100000"),
        case("y, i = MaxPool<kernel_shape=[2,2]>(x)", "the MaxPool 'y' (there is no translation of its output i)",
             "float[a,b,c,d] y, int64[a,b,c,d] i"),
        case("y = AveragePool<kernel_shape=[4,4], strides=[2,2], pads=[0,0,3,3]>(x)", "differs at both ends"),
        case("y = LpPool<kernel_shape=[2,2], p=4>(x)", "the LpPool 'y' (there is no translation of p=4)"),
        case("s = Constant<value_floats=[1.0,1.0,2.0,3.0]>() y = Resize(x, , s)", "only the same whole factor"),
        case('s = Constant<value_floats=[1.0,1.0,2.0,2.0]>() y = Resize<mode="linear">(x, , s)', "mode=linear"),
        case("h = Cast<to=1>(half) y = BatchNormalization(x, four, four, four, half)", "not valid ONNX"),
        case("l = Constant<value_float=2.0>() h = Constant<value_float=1.0>() y = Clip(x, l, h)", "wrong way round"),
        case("y = Clip(x, above)", "its bounds are inf and None"),
        case('y = Conv<auto_pad="SAME_UPPER", strides=[9,9]>(x, conv)', "would cut the data"),
        case("y = PRelu(x, stack)", "slopes of the shape (4, 9, 9)"),
        case("s = Shape(x) y = ConstantOfShape(s)", "the ConstantOfShape 'y' (it is computed for constants only"),
        case("y = ConstantOfShape(big)", "the ConstantOfShape 'y' (it is computed for constants only", "float[a] y"),
        case("s = Add(large, large) r = Slice(s, from, to) y = Reshape(x, r)", "the Add 's' ("),
        case("s = Shape(x) t = Sub(s, s) y = Reshape(x, t)", "the Sub 't' (s depends on the batch size)"),
        case("s = Shape(x) t = Add(s, s) y = Reshape(x, t)", "the Add 't' (s depends on the batch size)"),
        case("r = ReduceMax<axes=[1,2,3]>(x) i = Cast<to=7>(r) j = Squeeze(i, integers) y = Reshape(x, j)", ""),
        case("s = Shape(x) n = Slice(s, from, one_more) v = Gather(integers, n) y = Reshape(x, v)", "the Gather 'v' (",
             "float[a] y"),
        case("y = ReduceMean<keepdims=0>(x)", "the ReduceMean 'y' (it leaves no dimension", "float y"),
        case("y = Squeeze(x)", "the Squeeze 'y' (it names no axes)"),
        case("y = Gather<axis=1>(x, integers)", "the Gather 'y' (only the rows of a constant matrix"),
        case("y = Gather(x, zero)", "axis 0 of its data is that of the batch", "float[a,b,c] y"),
        case("a, y = Split(x)", "axis 0 of its data is that of the batch"),
        case("i = Cast<to=7>(x) y = Mul(i, i)", "i is int64, and is translated for float32 only", "int64[a,b,c,d] y"),
        case("h = Cast<to=10>(x) y = Cast<to=1>(h)", "the Cast 'h' (networks are imported in float32"),
        case("y = Softmax(four)", "do not depend on its data", "float[a] y"),
        case("y = Identity(four)", "its output y is constant", "float[a] y"),
        case("y = Add(x, empty)", "empty has no values"),
        case("a = MatMul(x, stack) y = MatMul(a, stack)", "the MatMul 'a' (products of (2, 4, 9, 9) and (4, 9, 9)"),
        case("f = Flatten(x) y = Gemm<alpha=0.5>(f, matrix)", "", "float[a,b] y"),
        case("y = Pad(x, integers)", "not valid ONNX"),
        case("p = Constant<value_ints=[0,1,0,0,0,0,0,0]>() y = Pad(x, p)", "only the height and width"),
        case("p = Constant<value_ints=[0,0,-1,0,0,0,0,0]>() y = Pad(x, p)", "no translation of pads="),
    ],
)  # fmt: skip
def test_what_has_no_translation_is_named(graph: str, words: str, output: str, tmp_path: Path):
    refused(onnx_graphs.write(tmp_path / "model.onnx", graph, CONSTANTS, output), words)


def simple(folder: Path, **options: object) -> Path:
    return onnx_graphs.write(folder / "model.onnx", "y = Conv(x, conv)", CONSTANTS, **options)


def test_files_of_other_kinds(tmp_path: Path):
    for content in (b"", b"no ONNX", bytes(1000)):
        (tmp_path / "model.onnx").write_bytes(content)
        refused(tmp_path / "model.onnx", "")
    refused(tmp_path / "missing.onnx", "missing.onnx")
    refused(
        simple(tmp_path, opset=12), "has opset 12, and 13 to 21 are imported: convert it with onnx.version_converter"
    )
    refused(simple(tmp_path, data="double[n,4,9,9] x", output="double[a,b,c,d] y"), "")
    refused(simple(tmp_path, data="float[n,4,9,9] x, float[n] z"), "2 inputs")
    refused(simple(tmp_path, data="float[n,4,9,1000000000] x"), "")
    refused(simple(tmp_path, data="float[n,4,h,9] x"), "(4, any, 9): choose one by input_shape")
    refused(simple(tmp_path), "takes items of the shape (4, 9, 9), not (4, 9, 8)", input_shape=(4, 9, 8))
    refused(simple(tmp_path, data="float[n,c,h,w] x"), "the Conv 'y' (", input_shape=(3, 9, 9))


def test_weights_that_are_not_read(tmp_path: Path):
    def changed(change) -> Path:
        model = onnx.load(simple(tmp_path))
        change(model.graph)
        onnx.save(model, tmp_path / "model.onnx")
        return tmp_path / "model.onnx"

    def sparse(graph) -> None:
        values = onnx.helper.make_tensor("conv", onnx.TensorProto.FLOAT, [1], [1.0])
        where = onnx.helper.make_tensor("where", onnx.TensorProto.INT64, [1], [5])
        graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, where, [4, 4, 3, 3]))
        del graph.initializer[:]

    def outside(graph) -> None:
        onnx.external_data_helper.set_external_data(graph.initializer[0], "weights.bin")
        graph.initializer[0].ClearField("raw_data")

    def shorter(graph) -> None:
        graph.initializer[0].raw_data = graph.initializer[0].raw_data[:-4]

    def larger(graph) -> None:
        graph.initializer[0].dims[0] = 2**40

    def circle(graph) -> None:
        graph.node[0].input[0] = "y"

    for change, words in (
        (sparse, ""), (outside, "beside it: cannot read"), (shorter, ""), (larger, ""), (circle, "not valid ONNX")
    ):  # fmt: skip
        refused(changed(change), words)
