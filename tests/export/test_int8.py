"""ONNX files that compute with 8-bit integers: what is in them, what they predict, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import networks
import numpy as np
import pytest
from conftest import assert_refused

import export
import zoo
from export import runtimes
from export.onnx.int8.steps import Steps, layer_integers, weight_integers
from zoo.graph import lowering
from zoo.graph.ir import Graph
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
S, V = mx.sym, mx.sym.var
IMAGE = (3, 12, 12)


def run(path: Path, data: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path)).run(None, {"data": data})[0]


def fused_operators(path: Path) -> Counter:
    """The operators that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    options.log_severity_level = 3  # it warns that such a file is for this processor
    onnxruntime.InferenceSession(str(path), options)
    return Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


@pytest.mark.parametrize("name", ["lenet5", "mlp"])
def test_digits_stay_the_same_in_a_quarter_of_the_bytes(name: str, mnist, tmp_path: Path):
    net = zoo.get_model(name, pretrained=True)
    path = export.to_onnx(net, tmp_path / "int8.onnx", int8=mnist.train[-200:])
    found = export.verify(path, net, mnist.test[:1000], seconds=2)
    assert not found.failures and "rms difference" in str(found), str(found)
    assert found.parities[0].same >= 0.999 * found.parities[0].items and found.parities[0].limit == 0.1
    real = export.to_onnx(net, tmp_path / "real.onnx")
    parameters = sum(each.data().size for each in net.collect_params().values())
    assert path.stat().st_size < min(1.25 * parameters, 0.3 * real.stat().st_size)
    kernels = {"lenet5": {"QLinearConv": 3, "QGemm": 2}, "mlp": {"QGemm": 2}}[name]
    assert kernels.items() <= fused_operators(path).items()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["vgg6", "cnn7", "sprint"])
def test_digits_of_all_others_stay_the_same(name: str, mnist, tmp_path: Path):
    net = zoo.get_model(name, pretrained=True)
    path = export.to_onnx(net, tmp_path / "int8.onnx", int8=mnist.train[-100:])
    images = mnist.test.images[:500, None] * np.float32(1 / 255)
    expected = run(export.to_onnx(net, tmp_path / "real.onnx"), images)
    assert (run(path, images).argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.998
    assert not {"Conv", "FusedConv", "Gemm", "MatMul"} & set(fused_operators(path))


def test_pixels_are_the_integers_themselves(mnist, tmp_path: Path):
    net = zoo.get_model("mlp", pretrained=True)
    path = export.to_onnx(net, tmp_path / "int8.onnx", int8=mnist.train.images[-200:, None], uint8=True, softmax=True)
    model = onnx.load(path)
    assert next(node.op_type for node in model.graph.node) == "DequantizeLinear"
    assert not {"Cast", "Mul"} & {node.op_type for node in model.graph.node}
    assert not export.verify(path, net, mnist.test[:500], seconds=1).failures


def test_pixels_that_are_put_out_as_well_are_scaled(tmp_path: Path):
    x = S.var("data", dtype="float32")
    net = networks.of(S.Group([S.FullyConnected(x, num_hidden=3), S.BlockGrad(x)]), (8,))
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8), np.uint8)
    path = export.to_onnx(net, tmp_path / "int8.onnx", (8,), int8=pixels, uint8=True)
    assert not export.verify(path, net, pixels, seconds=1).failures


def small(x: mx.sym.Symbol, flatten: bool = False) -> mx.sym.Symbol:
    """Everything that stays in integers: BatchNorm, ReLU, pooling, a sum, a concatenation and dense layers."""
    x = S.Convolution(x, kernel=(3, 3), num_filter=8, pad=(1, 1), no_bias=True, name="c1")
    x = S.Activation(S.BatchNorm(x, fix_gamma=False, name="b1"), act_type="relu", name="r1")
    y = S.BatchNorm(S.Convolution(x, kernel=(3, 3), num_filter=8, pad=(1, 1), name="c2"), fix_gamma=True, name="b2")
    x = S.Activation(x + y, act_type="relu", name="r2")
    x = S.Concat(S.Pooling(x, kernel=(2, 2), stride=(2, 2), name="p1"),
                 S.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg", name="p2"), name="joined")  # fmt: skip
    x = S.Pooling(
        S.Convolution(x, kernel=(1, 1), num_filter=8, name="c3"),
        global_pool=True,
        kernel=(1, 1),
        pool_type="avg",
        name="g",
    )
    return S.FullyConnected(S.FullyConnected(x, num_hidden=8, flatten=flatten, name="f1"), num_hidden=4, name="f2")


def centred(net: mx.gluon.SymbolBlock) -> mx.gluon.SymbolBlock:
    """``net`` with weights of both signs, and none in the first channel of convolutions."""
    random = np.random.default_rng(3)
    for name, parameter in net.collect_params().items():
        if name.endswith("weight"):
            values = random.standard_normal(parameter.shape) / 4
            values[:1] *= values.ndim == 2
            parameter.set_data(mx.nd.array(values))
    return net


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_whole_networks_compute_with_integers(opset: int, tmp_path: Path):
    net = centred(networks.of(small(V("data", dtype="float32")), IMAGE))
    data = np.random.default_rng(1).standard_normal((50, *IMAGE)).astype(np.float32)
    path = export.to_onnx(net, tmp_path / "int8.onnx", IMAGE, opset, int8=data)
    expected = net(mx.nd.array(data)).asnumpy()
    for runtime in runtimes.RUNTIMES[:2]:
        if runtime.is_installed:
            (outputs,) = runtime.open(path)(data)
            assert np.linalg.norm(outputs - expected) < 0.03 * np.linalg.norm(expected), runtime.name
    drawn = {node.op_type for node in onnx.load(path).graph.node}
    assert "BatchNormalization" not in drawn
    assert not {"Conv", "Gemm", "MatMul", "Concat", "MaxPool", "Relu", "DequantizeLinear"} & set(fused_operators(path))


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["resnet18_v1", "squeezenet1.1"])
def test_the_vision_zoo_of_mxnet_predicts_much_the_same(name: str, tmp_path: Path):
    net, images = networks.vision(name)
    path = export.to_onnx(net, tmp_path / "int8.onnx", images.shape[1:], int8=images)
    expected, outputs = net(mx.nd.array(images)).asnumpy(), run(path, images)
    assert np.linalg.norm(outputs - expected) < 0.1 * np.linalg.norm(expected)


def quantized(net: mx.gluon.HybridBlock, data: np.ndarray, fused: bool) -> mx.gluon.SymbolBlock:
    """``net`` after MXNet's own quantization, with the operators of oneDNN or with those of MXNet."""
    from mxnet.contrib import quantization

    symbol = net(V("data"))
    values = {name: each.data() for name, each in net.collect_params().items()}
    symbol, arguments, states = quantization.quantize_model(
        symbol.optimize_for("MKLDNN") if fused else symbol,
        {name: values[name] for name in symbol.list_arguments() if name in values},
        {name: values[name] for name in symbol.list_auxiliary_states()},
        label_names=None, ctx=mx.cpu(), calib_mode="naive", calib_data=mx.io.NDArrayIter(data, batch_size=len(data)),
        num_calib_examples=len(data), quantized_dtype="auto", quantize_mode="full", logger=None,
    )  # fmt: skip
    graph = Graph.of(symbol.optimize_for("MKLDNN_QUANTIZE") if fused else symbol)
    for node in graph.nodes():
        if node.operator == "_contrib_requantize":  # MXNet 1.9.1 leaves them out
            node.attributes |= {"min_calib_range": "-12", "max_calib_range": "12"}
    result = lowering.block(graph.symbol())
    for name, parameter in result.collect_params().items():
        value = arguments.get(name, states.get(name))
        parameter.shape = value.shape
        parameter._load_init(value, mx.cpu(), cast_dtype=True, dtype_source="saved")
    return result


def plain(x: mx.sym.Symbol) -> mx.sym.Symbol:
    x = S.Activation(S.Convolution(x, kernel=(3, 3), num_filter=8, name="c1"), act_type="relu", name="r1")
    return S.FullyConnected(S.Flatten(S.Pooling(x, kernel=(2, 2), stride=(2, 2))), num_hidden=4, name="f2")


@pytest.mark.parametrize(
    "make, fused, operator",
    [
        (plain, False, "_contrib_quantized_conv"),
        (plain, True, "_sg_mkldnn_fully_connected"),
        (lambda x: small(x, flatten=True), True, "_sg_mkldnn_conv"),
    ],
    ids=["MXNet's operators", "oneDNN's", "more of oneDNN's"],
)
def test_networks_that_mxnet_quantized_are_translated(make, fused: bool, operator: str, tmp_path: Path):
    real = centred(networks.of(make(V("data", dtype="float32")), IMAGE))
    data = np.random.default_rng(1).random((50, *IMAGE), np.float32)
    net = quantized(real, 2 * data, fused)  # half of the range, so that MXNet's sums do not saturate without VNNI
    assert operator in {node.operator for node in Graph.of(net(V("data"))).nodes()}
    path = export.to_onnx(net, tmp_path / "int8.onnx", IMAGE)
    outputs, expected = run(path, data), real(mx.nd.array(data)).asnumpy()
    assert np.linalg.norm(outputs - expected) < 0.03 * np.linalg.norm(expected)
    if fused:  # those of MXNet's own dense layers do saturate, of signed data
        assert np.linalg.norm(outputs - net(mx.nd.array(data)).asnumpy()) < 0.02 * np.linalg.norm(expected)
    assert "QLinearConv" in fused_operators(path)


def test_no_two_products_saturate_and_biases_fit():
    random = np.random.default_rng(0)
    weight = random.standard_normal((20, 3, 5, 5)).astype(np.float32)
    weight[0], weight[1, 0, 0, 0], weight[2] = 0, 100, 1e-30
    integers, scales, bias = layer_integers(weight, np.full(20, 3, np.float32), Steps.between(0, 1))
    flat = np.sort(integers.reshape(20, -1).astype(int), axis=1)
    assert flat[:, -2:].sum(axis=1).max() <= 128 and flat[:, :2].sum(axis=1).min() >= -128
    assert integers.dtype == np.int8 and bias.dtype == np.int32
    assert np.abs(bias * (scales * Steps.between(0, 1).scale).astype(float) - 3).max() < scales.max() / 255
    assert np.abs(integers[3:] * scales[3:, None, None, None] - weight[3:]).max() < scales[3:].max()
    assert weight_integers(np.zeros((2, 2), np.float32))[1].tolist() == [1, 1]


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 0), (-3, 5), (0, 0), (2, 3), (-1e-45, 1e-45)])
def test_zero_is_one_of_the_steps(low: float, high: float):
    steps = Steps.between(low, high)
    assert steps.round(np.zeros(1, np.float32)) == 0 and 0 <= steps.zero <= 255
    ends = np.array([low, high], np.float32)
    assert np.abs(steps.round(ends) - ends).max() <= steps.scale


def test_worthless_integers_are_noticed(mnist, tmp_path: Path):
    net, other = zoo.get_model("mlp", pretrained=True), zoo.get_model("mlp", seed=0)
    path = export.to_onnx(other, tmp_path / "int8.onnx", int8=mnist.train[-100:])
    assert "ONNX Runtime differs by" in export.verify(path, net, mnist.test[:200], seconds=1).failures[0]


@pytest.mark.parametrize(
    "data, words",
    [
        (np.zeros((5, 28, 28), np.uint8), r"shape \(n, 1, 28, 28\).*not uint8 of the shape \(5, 28, 28\)"),
        (np.zeros((0, 1, 28, 28), np.uint8), "at least one item"),
        (np.full((2, 1, 28, 28), np.nan, np.float32), "finite"),
        (True, "not bool"),
    ],
)
def test_other_calibration_data_are_refused(data: object, words: str, tmp_path: Path):
    with pytest.raises(zoo.ZooError, match=words):
        export.to_onnx(zoo.get_model("mlp", seed=0), tmp_path / "int8.onnx", int8=data)
    assert not any(tmp_path.iterdir())


def test_what_has_no_layers_is_refused(tmp_path: Path):
    net = networks.of(S.Activation(V("data", dtype="float32"), act_type="relu", name="a"), IMAGE)
    with pytest.raises(zoo.ZooError, match="int8 is for convolutions and dense layers"):
        export.to_onnx(net, tmp_path / "int8.onnx", IMAGE, int8=np.zeros((2, *IMAGE), np.float32))


def test_values_that_overflow_are_refused(tmp_path: Path):
    net = networks.of(S.FullyConnected(S.exp(V("data", dtype="float32") * 100), num_hidden=2, name="f"), IMAGE)
    with pytest.raises(zoo.ZooError, match="finite values only"):
        export.to_onnx(net, tmp_path / "int8.onnx", IMAGE, int8=np.ones((2, *IMAGE), np.float32))


def test_the_command_writes_a_verified_file(run, tmp_path: Path):
    done = run("export", "mlp", "--int8", "--format", "onnx", "--seconds", 2, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rms difference" in done.stdout and [each.name for each in tmp_path.iterdir()] == ["mlp-int8.onnx"]
    facts = {each.key: each.value for each in onnx.load(tmp_path / "mlp-int8.onnx").metadata_props}
    assert "of 10,000" in facts["accuracy_float32"] and facts["calibration"] == "500 of the last 5,000 training images"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["mlp", "--int8", "--format", "symbol"], ["--format symbol"]),
        (["--symbol", "x-symbol.json", "--params", "x.params", "--int8"], ["--symbol", "int8=items"]),
    ],
)
def test_mistakes_get_one_sentence(run_here, tmp_path: Path, arguments: list, words: list):
    assert_refused(run_here("export", *arguments, "--out", tmp_path / "files"), *words)
