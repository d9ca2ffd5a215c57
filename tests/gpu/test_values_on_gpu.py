"""For owners of a GPU: it computes what the CPU computes. ``python -m pytest -m gpu tests`` runs these tests alone.

Losses of short runs are compared only where chance plays no part: dropout masks differ from device to device.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import is_slow, unsettled

import zoo
from zoo.models import weights
from zoo.models.architectures import MODELS
from zoo.recipes import OPTIMIZERS
from zoo.runtime import contexts, mx
from zoo.training import Predictor, TrainingSession, scaling

CPU = [mx.cpu(0)]
GPUS = [context for context in contexts.usable() if context.device_type == "gpu"]
TOLERANCES = {"float32": 1e-4, "float16": 1e-2}  # of logits, relative to the largest one
WITHOUT_CHANCE = ("lenet5", "mlp", "mlp_128_64")  # no Dropout; no BatchNorm, which sees only each device's part
RECIPE = zoo.Recipe(epochs=1, batch_size=50, learning_rate=0.02, momentum=0.9, dtype="float32")


def _why_not() -> str:
    try:
        contexts.check("gpu(0)")
    except zoo.ZooError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not GPUS, reason=_why_not())]
needs_two = pytest.mark.skipif(len(GPUS) < 2, reason="needs two GPUs, to compare them with one")


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", zoo.list_models())
def test_logits_are_those_of_the_cpu(name: str, dtype: str, mnist):
    net, images = unsettled(name, seed=1), mnist.test[: 50 if is_slow(name) else 300]
    expected = Predictor(net, images, CPU, 50).evaluate()
    net.collect_params().reset_ctx(GPUS[:1])
    found = Predictor(net, images, GPUS[:1], 50, dtype).evaluate()
    assert np.abs(found.logits - expected.logits).max() < TOLERANCES[dtype] * np.abs(expected.logits).max()
    assert (found.predictions == expected.predictions).mean() > 0.95


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", [name for name in zoo.list_models(pretrained=True) if not is_slow(name)])
def test_pretrained_models_recognize_as_many_digits(name: str, dtype: str, mnist):
    net, images = zoo.get_model(name, pretrained=True), mnist.test[:2000]
    expected = Predictor(net, images, CPU).evaluate()
    net.collect_params().reset_ctx(GPUS[:1])
    found = Predictor(net, images, GPUS[:1], 500, dtype).evaluate()
    assert abs(found.errors - expected.errors) <= (0 if dtype == "float32" else 4)


def first_steps(name: str, ctx: list[mx.Context], mnist, recipe: zoo.Recipe) -> tuple[list, dict[str, np.ndarray]]:
    """Losses of four batches, the last one partial, and the weights after them."""
    net = zoo.get_model(name, ctx=ctx, seed=0)
    session = TrainingSession(net, mnist.train[:175], recipe, ctx)
    return [result.loss for result in session.run(np.arange(175))], weights.state(net)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-3), ("float16", 2e-2)])
@pytest.mark.parametrize("name", WITHOUT_CHANCE)
def test_steps_are_those_of_the_cpu(name: str, dtype: str, tolerance: float, mnist):
    expected, on_cpu = first_steps(name, CPU, mnist, RECIPE)
    found, on_gpu = first_steps(name, GPUS[:1], mnist, replace(RECIPE, dtype=dtype))
    assert found == pytest.approx(expected, rel=tolerance)
    assert_moved_alike(name, on_cpu, on_gpu, 10 * tolerance)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_steps_as_on_the_cpu(optimizer: str, mnist):
    recipe = replace(RECIPE, optimizer=optimizer, momentum=0.9 if optimizer in ("sgd", "nag") else 0, weight_decay=1e-3)
    recipe = replace(recipe, learning_rate=0.002)
    expected, _ = first_steps("mlp", CPU, mnist, recipe)
    for dtype, tolerance in (("float32", 1e-3), ("float16", 2e-2)):
        found, _ = first_steps("mlp", GPUS[:1], mnist, replace(recipe, dtype=dtype))
        assert found == pytest.approx(expected, rel=tolerance), dtype


def test_images_are_deformed_as_on_the_cpu(mnist):
    recipe = replace(RECIPE, augmentation=zoo.Augmentation(shift=2, rotation=15, scale=0.1, shear=0.1, elastic=1))
    expected, _ = first_steps("lenet5", CPU, mnist, recipe)
    plain, _ = first_steps("lenet5", CPU, mnist, RECIPE)
    found, _ = first_steps("lenet5", GPUS[:1], mnist, recipe)
    assert found == pytest.approx(expected, rel=2e-3)
    assert found != pytest.approx(plain, rel=2e-3)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", zoo.list_models())
def test_an_epoch_learns_as_much_as_on_the_cpu(name: str, dtype: str, mnist):
    recipe = replace(MODELS[name].recipe, epochs=1, batch_size=50, augmentation=None)
    part = mnist.train[: 1000 if is_slow(name) else 4000]
    records = []
    for ctx, used in ((CPU, "float32"), (GPUS[:1], dtype)):
        history = zoo.fit(zoo.get_model(name, seed=0), part, mnist.test[:500], replace(recipe, dtype=used), ctx)
        assert history.contexts == tuple(map(str, ctx))
        records.append(history.records[-1])
    expected, found = records
    assert found.train_loss == pytest.approx(expected.train_loss, rel=0.15)
    assert abs(found.train_accuracy - expected.train_accuracy) < 0.08


def test_a_step_that_overflows_is_undone_to_the_last_bit(mnist, monkeypatch):
    monkeypatch.setattr(scaling, "FIRST", 2.0**60)
    net = zoo.get_model("lenet5", ctx=GPUS[0], seed=0)
    before = weights.state(net)
    session = TrainingSession(net, mnist.train[:500], replace(RECIPE, dtype="float16"), GPUS[:1])
    list(session.run(np.arange(500)))
    assert session.loss_scale == 2.0**50
    assert all(np.array_equal(array, before[name]) for name, array in weights.state(net).items())
    for _ in range(8):
        results = list(session.run(np.arange(500)))
    assert session.loss_scale < 2.0**30 and results[-1].loss < 50 * np.log(10)


def test_weights_travel_between_devices_and_files_bit_for_bit(mnist, tmp_path: Path):
    for dtype in TOLERANCES:
        net = zoo.get_model("cnn7", seed=0)
        zoo.fit(net, mnist.train[:200], recipe=replace(RECIPE, dtype=dtype), ctx=GPUS[0], out=tmp_path / dtype)
        loaded = zoo.get_model("cnn7", seed=1)
        zoo.load_parameters(loaded, tmp_path / dtype / "final.params")
        assert zoo.parameter_hash(loaded) == zoo.parameter_hash(net)
        expected = zoo.evaluate(loaded, mnist.test[:100])
        found = zoo.evaluate(loaded, mnist.test[:100], ctx=GPUS[0])
        assert np.abs(found.logits - expected.logits).max() < 1e-4 * np.abs(expected.logits).max()


@needs_two
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-3), ("float16", 2e-2)])
@pytest.mark.parametrize("name", WITHOUT_CHANCE)
def test_several_gpus_step_as_one(name: str, dtype: str, tolerance: float, mnist):
    recipe = replace(RECIPE, dtype=dtype)
    expected, on_one = first_steps(name, GPUS[:1], mnist, recipe)
    found, on_all = first_steps(name, GPUS, mnist, recipe)
    assert found == pytest.approx(expected, rel=tolerance)
    assert_moved_alike(name, on_one, on_all, 10 * tolerance)


@needs_two
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_several_gpus_have_the_same_weights_to_the_last_bit(dtype: str, mnist):
    net = zoo.get_model("cnn7_relu", seed=0)
    history = zoo.fit(net, mnist.train[:1001], mnist.test[:301], replace(RECIPE, dtype=dtype), ctx=GPUS)
    assert history.records[-1].train_accuracy > 0.3
    for name, parameter in net.collect_params().items():
        first, *others = (copy.asnumpy() for copy in parameter.list_data())
        assert others and all(np.array_equal(first, other) for other in others), name


def assert_moved_alike(name: str, ours: dict, theirs: dict, tolerance: float) -> None:
    """Weights after training differ by a small part of how far training moved them."""
    initial = weights.state(zoo.get_model(name, seed=0))
    for key, array in ours.items():
        moved = np.linalg.norm(array - initial[key])
        assert moved > 0 and np.linalg.norm(theirs[key] - array) < tolerance * moved, key
