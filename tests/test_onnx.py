"""ONNX files: that other programs compute what MXNet computes, and that nothing is translated approximately."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from zoo.runtime import mx

needs_onnx = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('onnx')", reason="onnx is missing")


def unsettled(name: str, seed: int) -> mx.gluon.HybridBlock:
    """A network whose running statistics, biases and scales are not what they were initialized with."""
    net = zoo.get_model(name, seed=seed)
    random = np.random.default_rng(seed)
    for path, parameter in net.collect_params().items():
        if not path.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    return net


@pytest.fixture(scope="module")
def pixels(mnist) -> np.ndarray:
    return mnist.test_images[:50, None].astype(np.float32) / 255


@pytest.mark.parametrize("name", zoo.list_models())
def test_onnx_runtime_computes_what_mxnet_computes(name: str, tmp_path: Path, pixels):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = unsettled(name, seed=3)
    session = onnxruntime.InferenceSession(str(export.to_onnx(net, tmp_path / "model.onnx")))
    for batch in (pixels, pixels[:1]):  # the batch size is left open
        (logits,) = session.run(None, {"data": batch})
        assert logits.dtype == np.float32 and logits.shape == (len(batch), 10)
        assert np.abs(logits - net(mx.nd.array(batch)).asnumpy()).max() < 1e-4


@needs_onnx
@pytest.mark.parametrize("name", ["cnn7", "mlp"])
def test_the_file_says_what_it_is(name: str, tmp_path: Path):
    import onnx

    net = zoo.get_model(name, seed=0)
    model = onnx.load(export.to_onnx(net, tmp_path / "model.onnx", opset=17))
    assert model.ir_version == 8 and [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert [each.name for each in model.graph.input] == ["data"]  # weights are initializers only
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {each.name for each in model.graph.initializer} == set(net.collect_params())
    assert "Dropout" not in {node.op_type for node in model.graph.node}


def build(layer: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
    layer.initialize()
    layer(mx.nd.zeros((1, 1, 28, 28)))
    return layer


def outputs(*heads: mx.sym.Symbol) -> mx.gluon.SymbolBlock:
    return mx.gluon.SymbolBlock(list(heads), [mx.sym.var("data", dtype="float32")])


@needs_onnx
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: build(mx.gluon.nn.Swish(prefix="")), "_mul_scalar '_mulscalar.*there is no translation"),
        (lambda: build(mx.gluon.nn.BatchNorm(axis=2, prefix="bn_")), "BatchNorm 'bn_fwd' .* axis=2"),
        (lambda: build(mx.gluon.nn.Dense(3, flatten=False, prefix="fc_")), "FullyConnected 'fc_fwd' .*flatten=False"),
        (lambda: build(mx.gluon.nn.AvgPool2D(3, ceil_mode=True, prefix="pool_")), "'pool_fwd' .*convention=full"),
        (lambda: outputs(mx.sym.split(mx.sym.var("data"), 2, axis=2, name="cut")[1]), "SliceChannel 'cut'"),
        (lambda: outputs(*[mx.sym.Flatten(mx.sym.var("data"), name=name) for name in "ab"]), "2 outputs"),
    ],
)  # fmt: skip
def test_what_has_no_translation_is_refused_by_name(make, words: str, tmp_path: Path):
    with pytest.raises(zoo.ZooError, match=words):
        export.to_onnx(make(), tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())


def test_a_fixed_gamma_counts_as_one_and_full_pooling_as_ceiling(tmp_path: Path, pixels):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = mx.gluon.nn.HybridSequential(prefix="")
    net.add(mx.gluon.nn.BatchNorm(scale=False), mx.gluon.nn.MaxPool2D(3, strides=2, ceil_mode=True, padding=1))
    net.initialize(mx.init.Uniform(1))
    net[0].gamma.set_data(mx.nd.array([7.0]))
    net(mx.nd.array(pixels))
    session = onnxruntime.InferenceSession(str(export.to_onnx(net, tmp_path / "model.onnx")))
    (output,) = session.run(None, {"data": pixels})
    assert np.abs(output - net(mx.nd.array(pixels)).asnumpy()).max() < 1e-5


@needs_onnx
def test_weights_that_are_not_finite_are_refused(tmp_path: Path):
    net = zoo.get_model("mlp", seed=0)
    net.collect_params()["fc2_bias"].set_data(mx.nd.full(10, float("inf")))
    with pytest.raises(zoo.ZooError, match="fc2_bias holds values that are not finite"):
        export.to_onnx(net, tmp_path / "model.onnx")


def test_without_onnx_there_is_one_sentence(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(zoo.ZooError, match=r"needs the package onnx .*pip install '\.\[onnx\]'"):
        export.to_onnx(zoo.get_model("mlp", seed=0), tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())
