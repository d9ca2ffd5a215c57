"""Files for other programs, read as those programs read them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_bfloat16

import export
import zoo
from zoo.models.weights import state
from zoo.runtime import mx

every_model = pytest.mark.parametrize("name", zoo.list_models())


@pytest.fixture(scope="module")
def pixels(mnist) -> mx.nd.NDArray:
    return mx.nd.array(mnist.test_images[:7, None] / 255)


@every_model
def test_gluon_imports_it(name: str, tmp_path: Path, pixels):
    net = zoo.get_model(name, seed=3)
    symbol, parameters = export.to_symbol(net, tmp_path / "model", epoch=13)
    assert (symbol.name, parameters.name) == ("model-symbol.json", "model-0013.params")
    probabilities = zoo.get_card(name).kind == "symbol"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = ["data", "softmax_label"] if probabilities else ["data"]
        loaded = mx.gluon.SymbolBlock.imports(str(symbol), inputs, str(parameters))
    outputs = loaded(pixels, mx.nd.zeros(7)) if probabilities else loaded(pixels)
    expected = net(pixels).softmax() if probabilities else net(pixels)
    assert (outputs.asnumpy() == expected.asnumpy()).all()


@every_model
def test_module_loads_it(name: str, tmp_path: Path, pixels):
    net = zoo.get_model(name, seed=3)
    export.to_symbol(net, tmp_path / "model")
    labels = ["softmax_label"] if zoo.get_card(name).kind == "symbol" else []
    module = mx.mod.Module.load(str(tmp_path / "model"), 0, label_names=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.bind([("data", pixels.shape)], for_training=False)
        module.forward(mx.io.DataBatch([pixels]))
    expected = net(pixels).softmax() if labels else net(pixels)  # Module fuses operators: the same but for rounding
    assert np.abs(module.get_outputs()[0].asnumpy() - expected.asnumpy()).max() < 1e-5


def test_networks_that_are_not_finite_are_refused_by_name(tmp_path: Path):
    net = zoo.get_model("mlp", seed=0)
    net.collect_params()["fc2_bias"].set_data(mx.nd.full(10, float("nan")))
    with pytest.raises(zoo.ZooError, match="fc2_bias holds values that are not finite"):
        export.to_symbol(net, tmp_path / "model")


def test_a_failed_export_leaves_nothing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("export.inference.weights.state", lambda net, inputs: {n: 2 * v for n, v in state(net).items()})
    with pytest.raises(zoo.ZooError, match="nothing was written"):
        export.to_symbol(zoo.get_model("lenet5", seed=0), tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_the_command_says_what_it_wrote(run, tmp_path: Path):
    zoo.save_parameters(zoo.get_model("mlp", seed=0), tmp_path / "mlp.params")
    arguments = ["--params", tmp_path / "mlp.params", "--out", tmp_path / "files", "--format", "symbol"]
    done = run("export", "mlp", *arguments)
    assert done.returncode == 0, done.stderr
    assert "computes the same" in done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-2:]] == [
        str(tmp_path / "files/mlp-symbol.json"), str(tmp_path / "files/mlp-0000.params")]  # fmt: skip


@needs_bfloat16
@pytest.mark.parametrize("weights_too", [False, True])
def test_bfloat16_keeps_its_casts(weights_too: bool, tmp_path: Path, pixels):
    from mxnet.contrib import amp

    net = zoo.get_model("cnn7", seed=3)
    net.hybridize()
    net(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixed = amp.convert_hybrid_block(net, "bfloat16", ctx=mx.cpu(), cast_optional_params=weights_too)
    symbol, parameters = export.to_symbol(mixed, tmp_path / "model")
    assert '"amp_cast"' in symbol.read_text()
    expected = mixed(pixels).asnumpy()
    assert 0 < np.abs(expected - net(pixels).asnumpy()).max() < 0.05  # bfloat16 is really in use
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = mx.gluon.SymbolBlock.imports(str(symbol), ["data"], str(parameters))
    assert (loaded(pixels).asnumpy() == expected).all()
    assert (export.load_symbol(tmp_path / "model")(pixels).asnumpy() == expected).all()
