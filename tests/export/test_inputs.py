"""Networks of several inputs and outputs, with names for both."""

from __future__ import annotations

import json
from pathlib import Path

import networks
import numpy as np
import pytest

import export
import zoo
from zoo.runtime import mx

S, V = mx.sym, mx.sym.var
SHAPES = {"picture": (3, 8, 8), "facts": (5,)}


class Joined(mx.gluon.HybridBlock):
    """A picture and facts about it, which meet in the last layer; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.convolution, self.dense = mx.gluon.nn.Conv2D(4, 3), mx.gluon.nn.Dense(6)

    def hybrid_forward(self, F, picture, facts):
        features = F.Concat(F.Flatten(self.convolution(picture)), facts, dim=1)
        return self.dense(features), features


@pytest.fixture
def net() -> Joined:
    net = Joined()
    net.initialize(mx.init.Xavier())
    net(*arrays(1).values())
    return net


def arrays(batch: int, kind=mx.nd.array) -> dict:
    random = np.random.default_rng(batch)
    return {name: kind(random.random((batch, *shape), np.float32)) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("batch", [None, 2])
def test_inputs_and_outputs_have_the_given_names(net, batch: int | None, tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = export.to_onnx(net, tmp_path / "net.onnx", SHAPES, batch=batch, outputs=["scores", "features"])
    session = onnxruntime.InferenceSession(str(path))
    assert [each.name for each in session.get_inputs()] == ["picture", "facts"]
    assert session.get_inputs()[0].shape == [batch or "batch", 3, 8, 8]
    for size in [batch] if batch else [1, 3]:
        found = session.run(["scores", "features"], arrays(size, np.asarray))
        expected = net(*arrays(size).values())
        assert all(np.allclose(one, other.asnumpy(), atol=1e-5) for one, other in zip(found, expected))


def test_mxnets_own_files_take_them_too(net, tmp_path: Path):
    export.to_symbol(net, tmp_path / "net", input_shape=SHAPES)
    loaded = export.load_symbol(tmp_path / "net", input_shape=SHAPES)
    for one, other in zip(loaded(*arrays(2).values()), net(*arrays(2).values())):
        assert np.array_equal(one.asnumpy(), other.asnumpy())


def test_an_input_may_be_renamed(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = export.to_onnx(zoo.get_model("mlp"), tmp_path / "mlp.onnx", {"image": (1, 28, 28)}, outputs=["digit"])
    session = onnxruntime.InferenceSession(str(path))
    assert [session.get_inputs()[0].name, session.get_outputs()[0].name] == ["image", "digit"]


@pytest.mark.parametrize("outputs", [["a"], ["a", "a"], "ab", ["a", 1], ["a", ""], 5])
def test_other_names_than_one_for_each_output_are_refused(net, outputs, tmp_path: Path):
    pytest.importorskip("onnx")
    with pytest.raises(zoo.ZooError, match="has 2 outputs, which need as many different names"):
        export.to_onnx(net, tmp_path / "net.onnx", SHAPES, outputs=outputs)
    assert not any(tmp_path.iterdir())


def test_outputs_cannot_have_names_of_inputs_and_weights(net, tmp_path: Path):
    pytest.importorskip("onnx")
    for name in ("facts", next(iter(net.dense.collect_params()))):
        with pytest.raises(zoo.ZooError, match=f"{name} is the name of an input or a weight"):
            export.to_onnx(net, tmp_path / "net.onnx", SHAPES, outputs=[name, "b"])


@pytest.mark.parametrize(
    "shapes, words",
    [
        ((3, 8, 8), "must take one input, the data, and cannot be called with one"),
        ({**SHAPES, "more": (1,)}, "must take 3 inputs, picture, facts, more, and cannot be called with them"),
        ({"picture": (3, 8, 8), "facts": (0,)}, "the input shape is that of one item"),
        ({"picture": (3, 8, 8), 7: (5,)}, "the input shapes must be one by name"),
        ({}, "the input shapes must be one by name"),
        ({"picture": (3, 8, 8), "facts": (5, 2)}, r"does not take .* as picture, \(.*\) as facts"),
    ],
)
def test_other_inputs_are_refused_in_a_sentence(net, shapes, words: str, tmp_path: Path):
    pytest.importorskip("onnx")
    with pytest.raises(zoo.ZooError, match=words):
        export.to_onnx(net, tmp_path / "net.onnx", shapes)


def test_an_input_without_effect_and_one_that_is_a_weight_are_refused(tmp_path: Path):
    pytest.importorskip("onnx")
    net = networks.make(mx.gluon.nn.Dense(3), shape=(5,))
    with pytest.raises(zoo.ZooError, match="has a parameter with the name of an input"):
        export.to_onnx(net, tmp_path / "net.onnx", {next(iter(net.collect_params())): (5,)})
    with pytest.raises(zoo.ZooError, match="uint8 is for networks with one input named data"):
        export.to_onnx(net, tmp_path / "net.onnx", {"image": (5,)}, uint8=True)


def test_files_with_other_inputs_are_refused(net, tmp_path: Path):
    export.to_symbol(net, tmp_path / "net", input_shape=SHAPES)
    with pytest.raises(zoo.ZooError, match="it lacks facts, picture .*the shapes of all by name"):
        export.load_symbol(tmp_path / "net")
    with pytest.raises(zoo.ZooError, match="has no input sound: it may be any of facts, picture"):
        export.load_symbol(tmp_path / "net", input_shape={"sound": (3,)})
    with pytest.raises(zoo.ZooError, match="it lacks facts"):
        export.load_symbol(tmp_path / "net", input_shape={"picture": (3, 8, 8)})


def test_a_file_from_before_mxnet_0_9_loads(tmp_path: Path):
    """It has BatchNorm without the running statistics among its inputs."""
    nodes = [
        {"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "bn_gamma", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "bn_beta", "inputs": [], "backward_source_id": -1},
        {"op": "BatchNorm", "param": {"eps": "0.001", "fix_gamma": "False"}, "name": "bn",
         "inputs": [[0, 0], [1, 0], [2, 0]], "backward_source_id": -1},
    ]  # fmt: skip
    text = json.dumps({"nodes": nodes, "arg_nodes": [0, 1, 2], "heads": [[3, 0]]})
    (tmp_path / "net-symbol.json").write_text(text)
    random = np.random.default_rng(0)
    names = ("arg:bn_gamma", "arg:bn_beta", "aux:bn_moving_mean", "aux:bn_moving_var")
    values = {name: random.uniform(0.5, 1.5, 4).astype(np.float32) for name in names}
    mx.nd.save(str(tmp_path / "net-0000.params"), {name: mx.nd.array(value) for name, value in values.items()})
    gamma, beta, mean, variance = (value.reshape(1, 4, 1, 1) for value in values.values())
    data = random.random((2, 4, 3, 3), np.float32)
    found = export.load_symbol(tmp_path / "net", input_shape=(4, 3, 3))(mx.nd.array(data)).asnumpy()
    assert np.allclose(found, (data - mean) / np.sqrt(variance + 1e-3) * gamma + beta, atol=1e-5)


def test_states_that_a_network_begins_with_are_as_many_as_its_first_input(tmp_path: Path):
    onnxruntime = pytest.importorskip("onnxruntime")
    shapes = {"words": (3, 4), "facts": (5,)}
    words, facts = (V(name, dtype="float32") for name in shapes)
    steps, _ = mx.gluon.rnn.LSTMCell(5, input_size=4).unroll(3, words, layout="NTC", merge_outputs=False)
    net = mx.gluon.SymbolBlock(steps[-1] + facts, [words, facts])
    net.initialize(mx.init.Uniform(1))
    net(*(mx.nd.ones((1, *shape)) for shape in shapes.values()))
    path = export.to_onnx(net, tmp_path / "net.onnx", shapes)
    for size in (1, 3):
        given = {name: np.random.default_rng(size).random((size, *shapes[name]), np.float32) for name in shapes}
        (found,) = onnxruntime.InferenceSession(str(path)).run(None, given)
        assert np.allclose(found, net(*map(mx.nd.array, given.values())).asnumpy(), atol=1e-5)
