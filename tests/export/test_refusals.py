"""Networks, data and files that cannot be exported or verified: one sentence each, and never a verdict."""

from __future__ import annotations

import os
import pydoc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted_runtimes
import pytest
from conftest import assert_refused
from planted_runtimes import planted

import export
import zoo
from export import verification
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


@pytest.fixture(scope="module")
def net() -> mx.gluon.HybridBlock:
    return zoo.get_model("mlp", seed=0)


@pytest.fixture(scope="module")
def path(net, tmp_path_factory) -> Path:
    return export.to_onnx(net, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 28, 28), np.float32)


def one_sentence(words: str, call: Callable, *arguments: object, **options: object) -> None:
    with pytest.raises(zoo.ZooError) as caught:
        call(*arguments, **options)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def value(name: str, *shape: int | str, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def sequence(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_sequence_value_info(name, FLOAT, ("n", 1, 28, 28))


def model(operator: str, inputs: list, outputs: list, **attributes: object) -> onnx.ModelProto:
    names = [[each.name for each in values] for values in (inputs, outputs)]
    nodes = [helper.make_node(operator, *names, **attributes)] if outputs else []
    graph = helper.make_graph(nodes, "it", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


IMAGES, LOGITS = value("data", "batch", 1, 28, 28), value("output", "batch", 784)
CONSTANT = onnx.numpy_helper.from_array(np.zeros((8, 10), np.float32))
MODELS = {
    "no outputs": (model("Flatten", [IMAGES], []), "1 inputs and 0 outputs"),
    "no inputs": (model("Constant", [], [value("output", 8, 10)], value=CONSTANT), "0 inputs and 1 outputs"),
    "two inputs": (model("Add", [IMAGES, value("more", 1)], [value("output", "n", 1, 28, 28)]), "2 inputs"),
    "a scalar": (model("Identity", [value("data")], [value("output")]), "data of the shape ()"),
    "batches of 0": (model("Flatten", [value("data", 0, 1, 28, 28)], [value("output", 0, 784)]), "(0, 1, 28, 28)"),
    "huge batches": (
        model("Flatten", [value("data", 10**6, 1, 28, 28)], [value("output", 10**6, 784)]),
        "batches of 1,000,000 items, and here are 8",
    ),
    "a sequence": (model("SequenceLength", [sequence("data")], [value("n", dtype=7)]), "takes no tensor"),
    "a sequence put out": (model("SequenceConstruct", [IMAGES], [sequence("output")]), "puts out output, which is no"),
    "float16": (
        model("Flatten", [value("data", "n", 1, 28, 28, dtype=10)], [value("output", "n", 784, dtype=10)]),
        "takes FLOAT16",
    ),
    "pixels": (
        model("Flatten", [value("data", "n", 1, 28, 28, dtype=2)], [value("output", "n", 784, dtype=2)]),
        "takes uint8 pixels from 0 to 255, and these data are float32",
    ),
}


@pytest.mark.parametrize("wrong, words", MODELS.values(), ids=MODELS)
def test_files_that_cannot_be_verified(wrong: onnx.ModelProto, words: str, net, data, tmp_path: Path):
    onnx.save(wrong, tmp_path / "it.onnx")
    one_sentence(words, export.verify, tmp_path / "it.onnx", net, data)
    one_sentence("it.onnx", export.verify, tmp_path / "it.onnx", net, data)


def test_damaged_files_cannot_be_verified(net, path: Path, data, tmp_path: Path):
    for content in (path.read_bytes() + b"\0", path.read_bytes()[:-1], b"\0"):
        (tmp_path / "it.onnx").write_bytes(content)
        one_sentence("it.onnx is not valid ONNX", export.verify, tmp_path / "it.onnx", net, data)


def test_old_files_list_their_weights_as_inputs(net, path: Path, data, tmp_path: Path):
    old = onnx.load(path)
    weights = [value(each.name, *each.dims) for each in old.graph.initializer]
    images = list(old.graph.input)
    del old.graph.input[:]
    old.graph.input.extend([*weights, *images])
    onnx.save(old, tmp_path / "it.onnx")
    found = export.verify(tmp_path / "it.onnx", net, data)
    assert not found.failures and "cannot run it" not in str(found), str(found)


def test_what_was_checked_is_what_runs(net, path: Path, data, tmp_path: Path, monkeypatch):
    """Whatever becomes of the file while it is verified."""
    (tmp_path / "it.onnx").write_bytes(path.read_bytes())
    monkeypatch.setenv("FILE_TO_EMPTY", str(tmp_path / "it.onnx"))
    monkeypatch.setattr(verification, "RUNTIMES", (planted("Late", planted_runtimes.late),))
    assert not export.verify(tmp_path / "it.onnx", net, data).failures
    assert not (tmp_path / "it.onnx").read_bytes()


@pytest.mark.parametrize(
    "other, words",
    [
        (model("Flatten", [IMAGES], [LOGITS]), "puts out (1, 784) where MXNet puts out (1, 10)"),
        (model("ReduceSum", [IMAGES], [value("output")], keepdims=0), "puts out () where MXNet puts out (1, 10)"),
        (model("Split", [IMAGES], [value("a", "n", 1, 14, 28), value("b", "n", 1, 14, 28)], axis=2),
         "puts out (1, 1, 14, 28), (1, 1, 14, 28) where MXNet puts out (1, 10)"),
    ],
    ids=["shape", "no rows", "number"],
)  # fmt: skip
def test_other_outputs_are_no_match(other: onnx.ModelProto, words: str, net, data, tmp_path: Path):
    onnx.save(other, tmp_path / "it.onnx")
    found = export.verify(tmp_path / "it.onnx", net, data)
    assert f"ONNX Runtime {words}" in found.failures
    assert words in str(found)


ZEROS = np.zeros((10, 1, 28, 28), np.float32)
DATA = {
    "other channels": (np.zeros((10, 3, 28, 28), np.float32), "(n, 1, 28, 28), and these have the shape (10, 3, 28"),
    "other sizes": (np.zeros((10, 1, 14, 14), np.float32), "these have the shape (10, 1, 14, 14)"),
    "as many pixels": (np.zeros((10, 1, 56, 14), np.float32), "these have the shape (10, 1, 56, 14)"),
    "flat": (np.zeros((10, 784), np.float32), "these have the shape (10, 784)"),
    "only a batch": (np.zeros(10, np.float32), "these have the shape (10,)"),
    "a scalar": (np.float32(0)[...], "these have the shape ()"),
    "nothing": (ZEROS[:0], "hold no items"),
    "a tuple": ((), "are of the type tuple"),
    "a list": (ZEROS.tolist(), "are of the type list"),
    "None": (None, "are of the type NoneType"),
    "words": (ZEROS.astype(str), "are <U32 values"),
    "complex": (ZEROS.astype(complex), "are complex128 values"),
    "not a number": (ZEROS * np.float32("nan"), "not finite"),
}


@pytest.mark.parametrize("wrong, words", DATA.values(), ids=DATA)
def test_data_that_the_file_does_not_take(wrong: object, words: str, net, path: Path):
    one_sentence(words, export.verify, path, net, wrong)


@pytest.mark.parametrize("seconds", [float("nan"), -1, None, "1"])
def test_no_time_at_all(seconds: float, net, path: Path, data):
    one_sentence("number of seconds", export.verify, path, net, data, seconds)


def cast(dtype: str) -> mx.gluon.HybridBlock:
    net = zoo.get_model("mlp", seed=0)
    net.cast(dtype)
    return net


class TwoInputs(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, one, other):
        return one + other


class OwnError(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, data):
        return data.asnumpy()


class OwnShape(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, data):
        return F.reshape(data, shape=(data.shape[0], -1))


class Constant(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, data):
        return F.ones((8, 10))


NETWORKS = {
    "float16": (lambda: cast("float16"), "is float16 and should be float32"),
    "float64": (lambda: cast("float64"), "is float64 and should be float32"),
    "two inputs": (TwoInputs, "must take one input"),
    "an error of its own": (OwnError, "must take one input"),
    "the shape of an array": (OwnShape, "has no attribute 'shape'"),
    "a block that is not hybrid": (mx.gluon.nn.Sequential, "must be a HybridBlock"),
    "without its data": (Constant, "do not depend on them"),
    "not initialized": (lambda: mx.gluon.nn.Dense(10, in_units=784), "no weights yet"),
    "never run": (lambda: mx.gluon.nn.Dense(10), "no weights yet"),
    "a name": (lambda: "mlp", "must be a HybridBlock"),
    "a symbol": (lambda: mx.sym.var("data"), "must be a HybridBlock"),
}


@pytest.mark.parametrize("make, words", NETWORKS.values(), ids=NETWORKS)
def test_networks_that_cannot_be_exported(make: Callable, words: str, path: Path, data, tmp_path: Path):
    one_sentence(words, export.verify, path, make(), data)
    one_sentence(words, export.to_symbol, make(), tmp_path / "it")
    one_sentence(words, export.to_onnx, make(), tmp_path / "it.onnx")
    assert not any(tmp_path.iterdir())


def test_outputs_that_are_not_finite_are_not_compared(path: Path, data):
    net = zoo.get_model("mlp", seed=0)
    net.collect_params()["fc2_bias"].set_data(mx.nd.full(10, float("inf")))
    one_sentence("not finite", export.verify, path, net, data)


def test_a_network_needs_no_weights(data, tmp_path: Path):
    net = mx.gluon.nn.Flatten()
    path = export.to_onnx(net, tmp_path / "it.onnx")
    assert not export.verify(path, net, data).failures
    export.to_symbol(net, tmp_path / "it")
    assert np.array_equal(export.load_symbol(tmp_path / "it")(mx.nd.array(data)).asnumpy(), data.reshape(8, 784))


@pytest.mark.parametrize(
    "shape", [None, 28, "1,28,28", (1, 0, 28), (1, -1, 28), (1, 2.5, 28), (1, 10**30, 28), (1,) * 40]
)
def test_shapes_that_are_none(shape: object, net, tmp_path: Path):
    export.to_symbol(net, tmp_path / "it")
    for call, target in ((export.to_symbol, "it"), (export.to_onnx, "it.onnx")):
        one_sentence("is that of one item", call, net, tmp_path / target, input_shape=shape)
    one_sentence("is that of one item", export.load_symbol, tmp_path / "it", input_shape=shape)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"batch": 2.5}, "at least 1"),
        ({"batch": 10**30}, "below 2**31"),
        ({"batch": True}, "at least 1"),
        ({"opset": 17.0}, "from 13 to"),
        ({"metadata": {"images": 10}}, "strings to strings"),
        ({"metadata": {"images": "\udc80"}}, "UTF-8"),
        ({"metadata": ["images"]}, "strings to strings"),
    ],
    ids=str,
)
def test_options_of_onnx_that_are_none(options: dict, words: str, net, tmp_path: Path):
    one_sentence(words, export.to_onnx, net, tmp_path / "it.onnx", **options)


@pytest.mark.parametrize("prefix, epoch", [("it", 1.5), ("it", None), ("", 0)])
def test_names_that_are_none(prefix: str, epoch: object, net):
    one_sentence("", export.to_symbol, net, prefix, epoch)
    one_sentence("", export.load_symbol, prefix, epoch=epoch)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_no_files(run_here, net, data, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.json")
    export.to_symbol(net, tmp_path / "it")
    for file in (tmp_path / "pipe", "/dev/zero"):
        one_sentence("it is not a file", export.verify, file, net, data)
        one_sentence("it is not a file", export.load_symbol, tmp_path / "it", params=file)
        one_sentence("is no symbol of MXNet's", export.load_symbol, file)
    arguments = ["--params", tmp_path / "it-0000.params", "--out", tmp_path]
    assert_refused(run_here("export", "--symbol", tmp_path / "pipe.json", *arguments), "pipe.json: it is not a file")


def test_an_onnx_file_is_no_symbol(run_here, path: Path, tmp_path: Path):
    for params in ([], ["--params", path]):
        done = run_here("export", "--symbol", path, *params, "--out", tmp_path)
        assert_refused(done, "model.onnx is", "no symbol of MXNet's")


@pytest.mark.parametrize("shape", ["", "x", "1,,28", "1,0,28", "1,-1"])
def test_the_command_explains_shapes(shape: str, run_here, tmp_path: Path):
    arguments = ["--symbol", "x-symbol.json", "--params", "x-0000.params", "--out", tmp_path]
    assert_refused(run_here("export", *arguments, f"--input-shape={shape}"), "is no shape such as 1,28,28")


def test_help_shows_what_there_is():
    shown = "".join(pydoc.plain(pydoc.render_doc(export)).split())  # long signatures take several lines in some Pythons
    for name in ("load_symbol(symbol", "to_onnx(net", "to_symbol(net", "verify(path", "classSymbolError"):
        assert name in shown
