"""Networks that put out probabilities are trained, evaluated and exported as such, never through a second softmax."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest

import export
import zoo
from zoo.runtime import mx

S, V = mx.sym, mx.sym.var
HEADS = {
    "SoftmaxOutput": lambda x: S.SoftmaxOutput(x, V("label")),
    "SoftmaxActivation": lambda x: S.SoftmaxActivation(x),
    "softmax": lambda x: S.softmax(x),
    "softmax of a temperature": lambda x: S.softmax(x, temperature=3.0),
    "softmax, then more": lambda x: S.Cast(S.reshape(S.softmax(x), shape=(-1, 10)), dtype="float32"),
}


def dense(x: mx.sym.Symbol) -> mx.sym.Symbol:
    return S.FullyConnected(S.Flatten(x) / 100, num_hidden=10, name="dense")


@pytest.fixture(params=HEADS)
def net(request: pytest.FixtureRequest, tmp_path: Path) -> mx.gluon.SymbolBlock:
    """A network with such a head, as MXNet's files have it."""
    symbol = HEADS[request.param](dense(V("data")))
    random = np.random.default_rng(0)
    shapes = {"dense_weight": (10, 784), "dense_bias": (10,)}
    arrays = {f"arg:{name}": mx.nd.array(random.normal(size=shape)) for name, shape in shapes.items()}
    symbol.save(str(tmp_path / "net-symbol.json"))
    mx.nd.save(str(tmp_path / "net-0000.params"), arrays)
    return export.load_symbol(tmp_path / "net")


def logits(net: mx.gluon.SymbolBlock, images: np.ndarray) -> np.ndarray:
    weight, bias = (net.collect_params()[f"dense_{name}"].data().asnumpy() for name in ("weight", "bias"))
    return (images.reshape(len(images), -1) / np.float32(255) / 100) @ weight.T + bias


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(shifted, labels[:, None].astype(int), axis=1)[:, 0]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())


def test_it_says_what_it_puts_out(net):
    assert export.output_kind(net) == "probabilities"
    assert export.output_kind(zoo.get_model("mlp")) == export.output_kind(zoo.get_model("lenet5")) == "logits"


def test_numpy_arrays_are_reshaped_after_a_softmax():
    data = V("data", dtype="float32").as_np_ndarray()
    net = mx.gluon.SymbolBlock(S.np.reshape(S.npx.softmax(data), (-1, 2, 5)), [data])
    assert export.output_kind(net) == "probabilities"


def test_it_is_evaluated_by_its_logits(net, mnist, request):
    temperature = 3 if "temperature" in request.node.name else 1
    expected = loss(logits(net, mnist.test.images[:500]) / temperature, mnist.test.labels[:500])
    assert zoo.evaluate(net, mnist.test[:500]).loss == pytest.approx(expected, rel=1e-4)


def test_it_is_trained_as_one_that_puts_out_logits(net, mnist, request):
    temperature = 3 if "temperature" in request.node.name else 1
    plain = networks.of(dense(V("data", dtype="float32")) / temperature, (1, 28, 28))
    for name, parameter in plain.collect_params().items():
        parameter.set_data(net.collect_params()[name].data())
    recipe = zoo.Recipe(epochs=1, learning_rate=0.1)
    one, other = (zoo.fit(each, mnist.train[:2000], mnist.train[-500:], recipe) for each in (net, plain))
    assert one.records[0].train_loss == pytest.approx(other.records[0].train_loss, rel=1e-5)
    assert one.records[0].validation_loss == pytest.approx(other.records[0].validation_loss, rel=1e-5)
    assert np.allclose(*(each.collect_params()["dense_weight"].data().asnumpy() for each in (net, plain)), atol=1e-6)
    assert export.output_kind(net) == "probabilities"  # it has kept its head


@pytest.mark.parametrize("softmax", [False, True])
def test_no_second_softmax_is_written(net, softmax: bool, mnist, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = export.to_onnx(net, tmp_path / "net.onnx", softmax=softmax)
    images = mnist.test.images[:50, None] / np.float32(255)
    session = onnxruntime.InferenceSession(str(path))
    assert session.get_outputs()[0].name == ("probabilities" if softmax else "output")
    (found,) = session.run(None, {"data": images})
    assert np.allclose(found, net(mx.nd.array(images)).asnumpy(), atol=1e-6)
    assert not export.verify(path, net, mnist.test[:50]).failures


@pytest.mark.parametrize("net", ["SoftmaxOutput", "SoftmaxActivation", "softmax"], indirect=True)
def test_no_second_softmax_is_written_in_c(net, tmp_path: Path):
    once, still_once = (export.to_c(net, tmp_path / "net.c", softmax=softmax).read_text() for softmax in (False, True))
    assert once == still_once


@pytest.mark.parametrize("write, name", [(export.to_onnx, "net.onnx"), (export.to_c, "net.c")])
@pytest.mark.parametrize(
    "head",
    [lambda x: S.LogisticRegressionOutput(x, V("label")), lambda x: S.Activation(x, act_type="sigmoid"), S.sigmoid],
)
def test_no_softmax_is_written_over_a_sigmoid(head, write, name: str, tmp_path: Path):
    pytest.importorskip("onnx")
    net = networks.of(head(dense(V("data", dtype="float32"))), (1, 28, 28))
    with pytest.raises(zoo.ZooError, match="ends in a sigmoid, over which no softmax belongs"):
        write(net, tmp_path / name, softmax=True)
