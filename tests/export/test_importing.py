"""ONNX files come back as networks that compute the same, that train, and that are exported again."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import networks
import numpy as np
import onnx_graphs
import pytest
from conftest import assert_refused
from operator_cases import CASES, IMAGE

import export
import zoo
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SMALL = [name for name in zoo.list_models() if zoo.get_card(name).flops < 10**7]
LARGE = sorted(set(zoo.list_models()) - set(SMALL))
LAYERS = set(
    "null Activation BatchNorm Concat Convolution Deconvolution Dropout Flatten FullyConnected InstanceNorm LRN "
    "LayerNorm LeakyReLU Pad Pooling SliceChannel SoftmaxActivation SoftmaxOutput UpSampling add_n clip elemwise_add "
    "elemwise_mul expand_dims log_softmax relu sigmoid softmax stack tanh transpose".split()
)  # a network of these alone comes back


def outputs(net: mx.gluon.HybridBlock, data: np.ndarray) -> list[np.ndarray]:
    """What ``net`` computes from ``data``."""
    found = net(mx.nd.array(data, dtype=data.dtype))
    return [each.asnumpy() for each in (found if isinstance(found, (list, tuple)) else [found])]


def assert_the_same(computed: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [each.shape for each in computed] == [each.shape for each in expected]
    for one, other in zip(computed, expected):
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


def assert_comes_back(net: mx.gluon.HybridBlock, data: np.ndarray, folder: Path, opset: int = 17) -> None:
    """There and back twice, ``net`` computes the same, with the same weights by the same names."""
    expected, back = outputs(net, data), net
    for number in range(2):
        path = export.to_onnx(back, folder / f"{number}.onnx", data.shape[1:], opset)
        back = export.from_onnx(path)
        assert_the_same(outputs(back, data), expected)
        kept = {name: each.data().shape for name, each in back.collect_params().items()}
        assert kept.items() <= {name: each.data().shape for name, each in net.collect_params().items()}.items()


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in LARGE)])
def test_the_zoo_comes_back(name: str, tmp_path: Path):
    net = networks.unsettled(name, seed=3)
    assert_comes_back(net, np.random.default_rng(0).random((3, 1, 28, 28), np.float32), tmp_path)
    back = export.from_onnx(tmp_path / "0.onnx")
    assert set(back.collect_params()) == set(net.collect_params())
    trained = {each.name for each in net.collect_params().values() if each.grad_req != "null"}
    assert {name for name, each in back.collect_params().items() if each.grad_req != "null"} == trained


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["mobilenetv2_0.5", "squeezenet1.1"])
def test_the_vision_zoo_of_mxnet_comes_back(name: str, tmp_path: Path):
    net, images = networks.vision(name)
    back = export.from_onnx(export.to_onnx(net, tmp_path / "model.onnx", input_shape=images.shape[1:]))
    assert_the_same(outputs(back, images), outputs(net, images))
    assert set(back.collect_params()) == set(net.collect_params())


@pytest.mark.parametrize("opset", [17, *(pytest.param(each, marks=pytest.mark.exhaustive) for each in (13, 21))])
@pytest.mark.parametrize("make", CASES, ids=lambda make: inspect.getsource(make).split("x: ", 1)[1].strip()[:60])
def test_what_is_written_comes_back_or_is_refused_by_name(make, opset: int, tmp_path: Path):
    net = networks.of(make(mx.sym.var("data", dtype="float32")), IMAGE)
    used = {node["op"] for node in json.loads(net(mx.sym.var("data")).tojson())["nodes"]}
    try:
        path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE, opset)
    except zoo.ZooError as refusal:
        assert "from opset" in str(refusal)
        return
    try:
        back = export.from_onnx(path)
    except zoo.ZooError as refusal:
        assert "cannot be imported: " in str(refusal) and not used <= LAYERS
        return
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    expected = outputs(net, data)
    assert_the_same(outputs(back, data), expected)
    assert [each.dtype for each in outputs(back, data)] == [each.dtype for each in expected]


@pytest.mark.parametrize("opset", range(13, 22))
def test_pixels_and_probabilities_in_every_opset(opset: int, tmp_path: Path, mnist):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx knows no opset {opset}")
    net = networks.unsettled("nano", seed=0)
    path = export.to_onnx(
        net, tmp_path / "model.onnx", opset=opset, batch=3 if opset % 2 else None, softmax=True, uint8=True
    )
    pixels = mnist.test_images[:3, None] * np.float32(1 / 255)
    expected = [mx.nd.array(outputs(net, pixels)[0]).softmax().asnumpy()]
    back = export.from_onnx(path)
    assert_the_same(outputs(back, pixels), expected)  # it takes pixels from 0 to 1, as all networks here
    assert export.output_kind(back) == "probabilities"


def test_it_trains_and_goes_on_as_the_network_would(tmp_path: Path, mnist):
    """The first steps are those of the network that was exported: the same weights move, and statistics do."""
    net = networks.unsettled("nano", seed=0)
    back = export.from_onnx(export.to_onnx(net, tmp_path / "model.onnx"))
    before = {name: each.data().asnumpy() for name, each in back.collect_params().items()}
    for each in (net, back):
        zoo.fit(each, mnist.train[:200], None, zoo.Recipe(epochs=1, batch_size=100, learning_rate=0.01))
    for name, each in back.collect_params().items():
        moved, wanted = each.data().asnumpy(), net.collect_params()[name].data().asnumpy()
        assert np.abs(moved - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max()), name
        assert (moved != before[name]).any(), name
    accuracy = zoo.evaluate(back, mnist.test[:100]).accuracy
    predict = zoo.compile(back)
    digits = mnist.test[:100].images[:, None] * np.float32(1 / 255)
    assert (predict(digits).argmax(axis=1) == mnist.test[:100].labels).mean() == pytest.approx(accuracy)
    export.to_symbol(back, tmp_path / "net")
    assert_the_same(outputs(export.load_symbol(tmp_path / "net"), digits[:5]), outputs(back, digits[:5]))
    assert not export.verify(export.to_onnx(back, tmp_path / "tuned.onnx"), back, digits[:5]).failures


def test_what_is_trained_and_what_is_not(tmp_path: Path):
    """Weights of layers are, whoever wrote them; other constants and statistics are not."""
    shapes = {"data": (9, 5), "bias": (5,), "offset": (1, 4, 1, 5), "zeros": (4,), "ones": (4,), "slope": (1,)}
    path = onnx_graphs.write(
        tmp_path / "model.onnx",
        "n = BatchNormalization(x, ones, zeros, zeros, ones) m = BatchNormalization(n, ones, zeros, zeros, ones) "
        "p = MatMul(m, data) q = Add(p, bias) a = Add(q, offset) y = PRelu(a, slope)",
        {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()},
    )
    model = onnx.load(path)
    (bias,) = (each for each in model.graph.initializer if each.name == "bias")
    bias.name = model.graph.node[3].input[1] = (
        "bias:0"  # as TensorFlow names it; in MXNet's files, a colon ends a prefix
    )
    onnx.save(model, path)
    parameters = export.from_onnx(path).collect_params()
    trained = {name for name, each in parameters.items() if each.grad_req != "null"}
    assert trained == {"ones", "zeros", "data_2", "bias_0", "slope"}
    # Every layer has statistics of its own, even if the file keeps equal ones once.
    assert set(parameters) - trained == {"offset", "zeros_2", "zeros_3", "ones_2", "ones_3"}


def test_a_fixed_batch_is_open_where_the_graph_allows(tmp_path: Path):
    """As PyTorch writes reshapes where the batch size is fixed."""
    graph = "s = Constant<value_ints=[2,36,9]>() r = Reshape(x, s) t = Transpose<perm=[0,2,1]>(r) y = MatMul(r, t)"
    path = onnx_graphs.write(tmp_path / "model.onnx", graph, {}, output=None, data="float[2,4,9,9] x")
    net = export.from_onnx(path)
    for size in (1, 2, 5):
        data = np.random.default_rng(size).random((size, *IMAGE), np.float32)
        rows = data.reshape(size, 36, 9)
        assert_the_same(outputs(net, data), [rows @ rows.transpose(0, 2, 1)])


def test_the_command_writes_the_symbol_or_another_file(run_here, tmp_path: Path):
    net = networks.make(mx.gluon.nn.Conv2D(2, 3), mx.gluon.nn.Dense(4), shape=(3, 8, 9))
    path = export.to_onnx(net, tmp_path / "net.onnx", (3, 8, 9))
    data = np.random.default_rng(0).random((2, 3, 8, 9), np.float32)
    assert run_here("export", "--onnx", path, "--out", tmp_path / "files").returncode == 0
    assert_the_same(
        outputs(export.load_symbol(tmp_path / "files/net", input_shape=(3, 8, 9)), data), outputs(net, data)
    )
    again = run_here("export", "--onnx", path, "--out", tmp_path / "files", "--format", "onnx", "--opset", "21")
    assert again.returncode == 0 and "ONNX Runtime" in again.stdout
    assert onnx.load(tmp_path / "files/net.onnx").opset_import[0].version == 21
    for more, words in (
        (["--params", path], "holds its weights"),
        (["--input-shape", "3,8,8"], "(3, 8, 9), not (3, 8, 8)"),
    ):
        assert_refused(run_here("export", "--onnx", path, "--out", tmp_path / "no", *more), words)
    assert not (tmp_path / "no").exists()


def test_the_shape_of_an_item_is_the_files(tmp_path: Path):
    net = networks.make(mx.gluon.nn.Conv2D(2, 3), mx.gluon.nn.GlobalAvgPool2D(), shape=(3, 8, 9))
    path = export.to_onnx(net, tmp_path / "model.onnx", (3, 8, 9))
    with pytest.raises(zoo.ZooError, match=r"takes items of the shape \(3, 8, 9\), not \(3, 9, 9\)$"):
        export.from_onnx(path, (3, 9, 9))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(zoo.ZooError, match=r"the shape \(3, any, 9\): choose one by input_shape$"):
        export.from_onnx(path)
    data = np.random.default_rng(0).random((2, 3, 11, 9), np.float32)
    assert_the_same(outputs(export.from_onnx(path, (3, 11, 9)), data), outputs(net, data))
