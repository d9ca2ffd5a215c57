"""ONNX files: other programs compute what MXNet computes, and the files say what they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import networks
import numpy as np
import pytest

import export
import zoo
from export.onnx.model import encode
from export.runtimes import RUNTIMES
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
every_model = pytest.mark.parametrize("name", zoo.list_models())


@pytest.fixture(scope="module")
def pixels(mnist) -> np.ndarray:
    return mnist.test_images[:50, None].astype(np.float32) / 255


def run(model: Path | bytes, data: np.ndarray, batch_size: int | None = None) -> list[np.ndarray]:
    """The outputs of an ONNX model, given as a file or its content, in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    model = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    parts = np.split(data, range(batch_size or len(data), len(data), batch_size or len(data)))
    outputs = [session.run(None, {"data": part}) for part in parts]
    return [np.concatenate(each) for each in zip(*outputs)]


@every_model
def test_the_zoo_computes_the_same(name: str, tmp_path: Path, pixels):
    net = networks.unsettled(name, seed=3)
    path = export.to_onnx(net, tmp_path / "model.onnx")
    for batch in (pixels, pixels[:1], pixels[:7]):  # the batch size is left open
        (logits,) = run(path, batch)
        assert logits.dtype == np.float32 and logits.shape == (len(batch), 10)
        assert np.abs(logits - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", networks.VISION)
def test_the_vision_zoo_of_mxnet_computes_the_same(name: str, tmp_path: Path):
    net, images = networks.vision(name)
    path = export.to_onnx(net, tmp_path / "model.onnx", input_shape=images.shape[1:])
    expected = net(mx.nd.array(images)).asnumpy()
    assert expected.std(axis=0).max() > 0.01 and np.abs(expected).max() < 100  # outputs depend on the images
    (outputs,) = run(path, images)
    assert np.abs(outputs - expected).max() < 1e-4
    for runtime in RUNTIMES[1:-1]:  # ONNX's reference takes minutes for some
        if not runtime.is_installed:
            continue
        if (runtime.name, name) == ("OpenCV dnn", "inceptionv3"):
            with pytest.raises(ValueError, match="it ignores count_include_pad"):
                runtime.open(path)
            continue
        (outputs,) = runtime.open(path)(images)
        assert np.abs(outputs - expected).max() < 3e-4, runtime.name  # over 152 layers, rounding adds up to 1e-4
    drawn = {node.op_type for node in onnx.load(path).graph.node}
    assert drawn <= {"Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Flatten", "Gemm",
                     "GlobalAveragePool", "MaxPool", "Relu"}  # fmt: skip


@pytest.mark.exhaustive
@every_model
def test_every_prediction_is_the_same(name: str, mnist):
    """On the whole test set, or on 2,000 of its images for networks that would take minutes."""
    test = mnist.test[:2000] if networks.is_slow(name) else mnist.test
    net = zoo.get_model(name, seed=1)
    zoo.fit(net, mnist.train[:1000], None, zoo.Recipe(epochs=1, batch_size=100, learning_rate=0.05, dtype="float32"))
    expected = zoo.evaluate(net, test).logits
    (logits,) = run(encode(net)["model.onnx"], test.images[:, None] * np.float32(1 / 255), batch_size=500)
    assert np.abs(logits - expected).max() < 1e-4
    best = np.sort(expected, axis=1)
    tied = best[:, -1] - best[:, -2] < 1e-6  # in the last bits, rounding decides
    assert (logits.argmax(axis=1) == expected.argmax(axis=1))[~tied].all() and tied.sum() < 5


@pytest.mark.parametrize("name", ["cnn7", "mlp"])
def test_the_file_says_what_it_is(name: str, tmp_path: Path):
    net = zoo.get_model(name, seed=0)
    model = onnx.load(export.to_onnx(net, tmp_path / "model.onnx", metadata={"model": name}))
    facts = {each.key: each.value for each in model.metadata_props}
    assert facts == {"model": name, "weights_sha256": zoo.parameter_hash(net), "mxnet_version": mx.__version__}
    assert (model.producer_name, model.producer_version) == ("mxnet-mnist-zoo", zoo.__version__)
    for values, label, sizes in ((model.graph.input, "data", (1, 28, 28)), (model.graph.output, "output", (10,))):
        (value,) = values  # weights are initializers only
        dimensions = value.type.tensor_type.shape.dim
        assert value.name == label and dimensions[0].dim_param == "batch"
        assert tuple(each.dim_value for each in dimensions[1:]) == sizes
    assert {each.name for each in model.graph.initializer} == set(net.collect_params())


def test_cnn7_is_drawn_layer_by_layer(tmp_path: Path):
    model = onnx.load(export.to_onnx(zoo.get_model("cnn7", seed=0), tmp_path / "model.onnx"))
    convolution, block = ["Conv", "Tanh"], ["BatchNormalization", "MaxPool"]
    assert [node.op_type for node in model.graph.node] == (
        convolution * 2 + block + convolution * 2 + block + convolution + block[:1] + ["Flatten"] + ["Gemm", "Tanh"] * 2
    )
    assert len(model.graph.node) <= 20
    assert [node.name for node in model.graph.node][:6] == [
        "conv1",
        "conv1_tanh",
        "conv2",
        "conv2_tanh",
        "bn1",
        "pool1",
    ]


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset_comes_with_its_ir_version(opset: int, tmp_path: Path, pixels):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx knows no opset {opset}")
    net = networks.unsettled("cnn7", seed=0)
    path = export.to_onnx(net, tmp_path / "model.onnx", opset=opset)
    model = onnx.load(path)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", opset)]
    assert model.ir_version == {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10}[opset]
    found = export.verify(path, net, pixels[:8])
    assert not found.failures and [each.items for each in found.parities] == [8] * len(found.parities), str(found)


@pytest.mark.parametrize("opset", [12, 99])
def test_other_opsets_are_refused(opset: int, tmp_path: Path):
    with pytest.raises(zoo.ZooError, match=f"from 13 to 2[0-9], not {opset}"):
        export.to_onnx(zoo.get_model("mlp", seed=0), tmp_path / "model.onnx", opset=opset)


def test_softmax_and_raw_pixels_and_a_fixed_batch(tmp_path: Path, mnist):
    net = networks.unsettled("lenet5", seed=0)
    path = export.to_onnx(net, tmp_path / "model.onnx", softmax=True, uint8=True, batch=np.int64(3))
    raw = mnist.test_images[:3, None]
    (probabilities,) = run(path, raw)
    expected = net(mx.nd.array(raw * np.float32(1 / 255))).softmax().asnumpy()
    assert np.abs(probabilities - expected).max() < 1e-6
    graph = onnx.load(path).graph
    assert [each.dim_value for each in graph.input[0].type.tensor_type.shape.dim] == [3, 1, 28, 28]
    assert [each.dim_value for each in graph.output[0].type.tensor_type.shape.dim] == [3, 10]
    assert graph.output[0].name == "probabilities"


def test_weights_that_are_not_finite_are_refused(tmp_path: Path):
    net = zoo.get_model("mlp", seed=0)
    net.collect_params()["fc2_bias"].set_data(mx.nd.full(10, float("inf")))
    with pytest.raises(zoo.ZooError, match="fc2_bias holds values that are not finite"):
        export.to_onnx(net, tmp_path / "model.onnx")


def test_without_onnx_there_is_one_sentence(tmp_path: Path):
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import export, zoo\n"
        "try: export.to_onnx(zoo.get_model('mlp', seed=0), sys.argv[1])\n"
        "except zoo.ZooError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "m.onnx"], capture_output=True, text=True, check=True)
    assert "needs the package onnx" in done.stdout and "pip install '.[onnx]'" in done.stdout
    assert not any(tmp_path.iterdir())
