"""Networks of MXNet's NumPy interface are exported as others are, whether or not the interface is on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
import pytest

import export
import zoo
from zoo.runtime import mx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from agreement import assert_agrees

nn, rnn = mx.gluon.nn, mx.gluon.rnn
IMAGE = (3, 8, 8)


@pytest.fixture
def on() -> Iterator[None]:
    mx.npx.set_np()
    yield
    mx.npx.reset_np()


def initialized(net: mx.gluon.HybridBlock, *shape: int) -> mx.gluon.HybridBlock:
    net.initialize(mx.init.Xavier())
    net(mx.np.zeros((2, *shape)))
    return net


def sequential(*layers: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
    net = nn.HybridSequential()
    net.add(*layers)
    return net


def layers() -> mx.gluon.HybridBlock:
    net = sequential(
        nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.MaxPool2D(), nn.LeakyReLU(0.1), nn.SELU(),
        nn.ELU(), nn.PReLU(), nn.Swish(), nn.Dropout(0.5), nn.Conv2DTranspose(3, 2), nn.AvgPool2D(), nn.Flatten(),
        nn.Dense(6, activation="tanh"), nn.LayerNorm(), nn.Dense(5),
    )  # fmt: skip
    return initialized(net, *IMAGE)


class Function(nn.HybridSequential):
    """A network that computes ``function(F, x, *layers)``."""

    def __init__(self, function, *layers: mx.gluon.HybridBlock) -> None:
        super().__init__()
        self.function = function
        self.add(*layers)

    def hybrid_forward(self, F, x):
        return self.function(F, x, *self)


FUNCTIONS = {
    "words": (lambda F, x, embedding, dense: dense(embedding(F.np.floor(x * 9))), (7,)),
    "attention": (
        lambda F, x: F.npx.batch_dot(F.npx.softmax(F.npx.batch_dot(x, x, transpose_b=True)), x),
        (5, 4),
    ),
    "means": (lambda F, x: (x - F.np.mean(x, axis=-1, keepdims=True)) / (F.np.std(x, axis=(1, 2)).mean()), (5, 4)),
    "total": (lambda F, x: [F.np.sum(x), F.np.max(x) + x], (5, 4)),
    "choices": (
        lambda F, x: [F.npx.pick(x, F.np.argmax(x, axis=-1)), F.npx.one_hot(F.np.argmin(x, axis=-1), depth=4)],
        (5, 4),
    ),
    "comparison": (lambda F, x: [x > 0.5, F.np.where(x > 0.5, x, F.np.zeros_like(x))], (5, 4)),
    "shapes": (lambda F, x: F.npx.reshape(F.np.transpose(x, (0, 2, 1)), (-2, -1)).T, (5, 4)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.usefixtures("on")
def test_functions(name: str, tmp_path: Path):
    function, shape = FUNCTIONS[name]
    layers = [nn.Embedding(10, 6), nn.Dense(3, flatten=False)] if name == "words" else []
    net = initialized(Function(function, *layers), *shape)
    assert_agrees(net, tmp_path / "model.onnx", *shape)


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.usefixtures("on")
def test_gluon_layers(opset: int, tmp_path: Path):
    assert_agrees(layers(), tmp_path / "model.onnx", *IMAGE, opset=opset)


@pytest.mark.parametrize("is_on", [False, True])
def test_all_of_export_leaves_the_interface_as_it_is(is_on: bool, tmp_path: Path, on):
    net = initialized(sequential(nn.Conv2D(4, 3), nn.BatchNorm(), nn.Activation("relu"), nn.Dense(5)), *IMAGE)
    images = np.random.default_rng(0).random((8, *IMAGE), np.float32)
    expected = net(mx.np.array(images)).asnumpy()
    if not is_on:
        mx.npx.reset_np()
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    assert export.verify(path, net, images).failures == []
    integers = export.to_onnx(net, tmp_path / "int8.onnx", IMAGE, int8=images)
    assert export.verify(integers, net, images).parities[0].failure is None
    export.to_symbol(net, tmp_path / "net", input_shape=IMAGE)
    loaded = export.load_symbol(tmp_path / "net", input_shape=IMAGE)
    assert export.verify(export.to_onnx(loaded, path, IMAGE), loaded, images).failures == []
    assert (mx.util.is_np_array(), mx.util.is_np_shape()) == (is_on, is_on)
    mx.npx.set_np()
    assert np.abs(loaded(mx.np.array(images)).asnumpy() - expected).max() < 1e-6
    files = (str(tmp_path / f"net-{ending}") for ending in ("symbol.json", "0000.params"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gluon warns of inputs without a declared type
        imported = mx.gluon.SymbolBlock.imports(next(files), ["data"], next(files))
    assert np.abs(imported(mx.np.array(images)).asnumpy() - expected).max() < 1e-6


@pytest.mark.usefixtures("on")
def test_files_of_mxnets_own_export_are_loaded(tmp_path: Path):
    net, images = layers(), mx.np.random.uniform(size=(2, *IMAGE))
    net.hybridize()
    expected = net(images).asnumpy()
    net.export(str(tmp_path / "net"))
    loaded = export.load_symbol(tmp_path / "net", input_shape=IMAGE)
    assert np.array_equal(loaded(images).asnumpy(), expected)
    assert_agrees(loaded, tmp_path / "model.onnx", *IMAGE)


def test_a_network_of_the_other_interface_is_exported_while_numpys_is_on(tmp_path: Path, request):
    net = networks.make(nn.Conv2D(4, 3), nn.Dense(5), shape=IMAGE)
    images = np.random.default_rng(0).random((8, *IMAGE), np.float32)
    request.getfixturevalue("on")
    assert export.verify(export.to_onnx(net, tmp_path / "model.onnx", IMAGE), net, images).failures == []
    export.to_symbol(net, tmp_path / "net", input_shape=IMAGE)
    loaded = export.load_symbol(tmp_path / "net", input_shape=IMAGE)
    mx.npx.reset_np()
    assert np.abs((loaded(mx.nd.array(images)) - net(mx.nd.array(images))).asnumpy()).max() < 1e-6


@pytest.mark.usefixtures("on")
def test_outputs_without_a_batch_are_verified_as_a_whole(tmp_path: Path):
    net = initialized(Function(lambda F, x: F.np.sum(x)), 4)
    path = export.to_onnx(net, tmp_path / "model.onnx", (4,))
    found = export.verify(path, net, np.ones((3, 4), np.float32))
    assert not found.failures and found.parities[0].same is None


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize(
    "function, words",
    [
        (lambda F, x: F.np.linalg.svd(x)[0], "no translation of _npi_svd"),
        (lambda F, x: F.np.mean(x.astype("int32"), axis=1), "its data are int32"),
        (lambda F, x: F.np.sum(x, axis=1, dtype="float64"), "dtype=float64"),
        (lambda F, x: F.np.std(x, axis=1, ddof=1), "ddof=1"),
        (lambda F, x: x.astype("int32") > 0.5, "data of float32"),
        (lambda F, x: x.astype("int32") * 2.5, "otherwise when hybridized: cast its data of int32"),
        (lambda F, x: F.np.linalg.norm(x, ord=2, axis=(1, 2)), "ord=2 with axis="),
        (lambda F, x: F.np.cumsum(x), "along an axis"),
        (lambda F, x: F.np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="symmetric"), "mode=symmetric"),
        (lambda F, x: F.np.dot(x, F.np.ones((2, 4, 3))), "second input of one or two dimensions"),
    ],
)
def test_what_has_no_translation_is_refused_by_name(function, words: str, tmp_path: Path):
    net = initialized(Function(function), 4, 4)
    with pytest.raises(zoo.ZooError, match=f"cannot be written as ONNX: .*{words}"):
        export.to_onnx(net, tmp_path / "model.onnx", (4, 4))


@pytest.mark.filterwarnings("ignore:ndarray.context")
@pytest.mark.usefixtures("on")
def test_what_mxnet_itself_cannot_compute_is_one_sentence(tmp_path: Path):
    """Its recurrent layers begin with a shape that means something else to the NumPy interface."""
    net = initialized(sequential(rnn.LSTM(4, layout="NTC")), 7, 3)
    with pytest.raises(zoo.ZooError, match="does not take data of the shape") as caught:
        export.to_onnx(net, tmp_path / "model.onnx", (7, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("use", [zoo.compile, lambda net: zoo.evaluate(net, None)], ids=["compile", "evaluate"])
def test_such_networks_are_exported_only(use, on):
    net = layers()
    for _ in range(2):
        with pytest.raises(zoo.ZooError, match="NumPy interface can be exported, and neither trained nor compiled"):
            use(net)
        mx.npx.reset_np()
