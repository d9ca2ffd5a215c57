"""The notebook's own Module code on the registry's symbols, and weights to Gluon and back."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.models.architectures import MODELS
from zoo.runtime import mx


@pytest.fixture(scope="module")
def packed(mnist, tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp("packed") / "mnist"
    zoo.pack(prefix, mnist.train[:3000], train_ratio=0.9, test_ratio=0.1)
    return prefix


def iterators(prefix: Path) -> list[mx.io.DataIter]:
    """As the notebook makes them."""
    return [
        mx.io.ImageRecordIter(
            path_imglist=f"{prefix}_{part}.lst", path_imgrec=f"{prefix}_{part}.rec", data_shape=(1, 28, 28),
            batch_size=100, verbose=False,
        )
        for part in ("train", "test")
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Parameters already initialized:UserWarning")
def test_the_notebook_s_code_runs_unchanged(packed: Path, caplog, tmp_path: Path):
    train_iter, valid_iter = iterators(packed)
    mod = mx.mod.Module(zoo.get_symbol("mlp"))
    with caplog.at_level(logging.INFO):
        mod.fit(train_data=train_iter, eval_data=valid_iter, initializer=mx.initializer.Xavier(magnitude=2.),
                optimizer="sgd", optimizer_params={"learning_rate": 0.1}, num_epoch=1)  # fmt: skip
        for rate, epochs in ((0.01, 1), (0.001, 4)):
            train_iter.reset()
            valid_iter.reset()
            mod.init_optimizer(force_init=True, optimizer_params=(("learning_rate", rate),), optimizer="sgd")
            mod.init_params(force_init=True, initializer=mx.initializer.Xavier(magnitude=2.0))
            mod.fit(train_data=train_iter, eval_data=valid_iter, num_epoch=epochs)
    logged = [line.split("=") for line in caplog.text.splitlines() if "Validation-accuracy" in line]
    accuracies = [float(value) for _, value in logged]
    assert len(accuracies) == 6 and accuracies[0] < 0.2 and accuracies[-1] > 0.6
    valid_iter.reset()
    ((_, accuracy),) = mod.score(valid_iter, "acc")
    assert accuracy == pytest.approx(accuracies[-1])
    mod.save_checkpoint(str(tmp_path / "mlp"), 4)
    net = zoo.get_model("mlp")
    zoo.load_parameters(net, tmp_path / "mlp-0004.params")
    assert zoo.evaluate(net, zoo.load_records(f"{packed}_test.rec").raw()).accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_s_symbol_goes_through_module_and_gluon_and_back(name: str, mnist, tmp_path: Path):
    pixels, labels = mnist.train_images[:20, None] / np.float32(255), mnist.train_labels[:20]
    data = mx.io.NDArrayIter(pixels, labels.astype(np.float32), 20)
    module = mx.mod.Module(zoo.get_symbol(name))
    module.fit(
        data,
        num_epoch=1,
        initializer=mx.init.create(MODELS[name].initializer),
        optimizer_params={"learning_rate": 0.01},
    )
    module.save_checkpoint(str(tmp_path / "module"), 1)
    net = zoo.get_model(name)
    zoo.load_parameters(net, tmp_path / "module-0001.params")
    data.reset()
    expected = module.predict(data).asnumpy()
    assert np.abs(net(mx.nd.array(pixels)).softmax().asnumpy() - expected).max() < 1e-5
    zoo.get_symbol(name).save(str(tmp_path / "gluon-symbol.json"))
    zoo.save_parameters(net, tmp_path / "gluon-0007.params")
    back = mx.mod.Module.load(str(tmp_path / "gluon"), 7)
    back.bind(data.provide_data, data.provide_label, for_training=False)
    data.reset()
    assert np.abs(back.predict(data).asnumpy() - expected).max() < 1e-5


def test_the_symbol_of_no_model_is_refused():
    with pytest.raises(zoo.UnknownName, match="no model 'mpl': did you mean mlp"):
        zoo.get_symbol("mpl")
