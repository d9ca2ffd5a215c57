"""The training loop learns, and computes what Gluon's own loop computes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import is_slow

import zoo
from zoo.graph.execution import Execution
from zoo.models import weights
from zoo.models.architectures import MODELS
from zoo.recipes import OPTIMIZERS
from zoo.runtime import mx
from zoo.training import TrainingSession

WITHOUT_RANDOMNESS = ["lenet5", "mlp", "mlp_128_64"]  # no Dropout, no BatchNorm
SMALL = zoo.Recipe(epochs=2, batch_size=100, learning_rate=0.1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_learns_mnist(name: str, mnist):
    """Eighty steps of the model's recipe: far from done, but far better than with a wrong pad or shifted labels."""
    net = zoo.get_model(name, seed=0)
    recipe, part = replace(MODELS[name].recipe, epochs=1, batch_size=100), mnist.train[:8000]
    if zoo.get_card(name).parameters < 5000:  # small models need twice the steps, and unaugmented images
        recipe = replace(recipe, batch_size=50, augmentation=None)
    elif is_slow(name):
        recipe, part = replace(recipe, batch_size=50), part[:4000]
    zoo.fit(net, part, recipe=recipe)
    assert zoo.evaluate(net, mnist.test[:2000]).accuracy > 0.82


@pytest.mark.parametrize("name", WITHOUT_RANDOMNESS)
def test_steps_are_those_of_gluon_s_own_loop(name: str, mnist):
    """Three batches, the last one partial, against a loop as in Gluon's tutorials."""
    part, ours, theirs = mnist.train[:250], zoo.get_model(name, seed=0), zoo.get_model(name, seed=0)
    recipe = zoo.Recipe(batch_size=100, learning_rate=0.05, momentum=0.9, weight_decay=1e-3, dtype="float32")
    results = list(TrainingSession(ours, part, recipe, [mx.cpu()]).run(np.arange(250)))

    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = mx.gluon.Trainer(theirs.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9, "wd": 1e-3})
    losses, correct = [], []
    for start in range(0, 250, 100):
        batch = part[start : start + 100]
        pixels, labels = mx.nd.array(batch.images[:, None] / 255), mx.nd.array(batch.labels)
        with mx.autograd.record():
            logits = theirs(pixels)
            loss = cross_entropy(logits, labels)
        loss.backward()
        trainer.step(len(batch))
        losses.append(loss.sum().asscalar())
        correct.append(int((logits.argmax(axis=1) == labels).sum().asscalar()))

    assert [result.images for result in results] == [100, 100, 50]
    assert [result.loss for result in results] == pytest.approx(losses, rel=1e-5)
    assert [result.correct for result in results] == correct
    assert_close(ours, theirs, 1e-6)


@pytest.mark.parametrize("name", WITHOUT_RANDOMNESS)
@pytest.mark.parametrize("count", [400, 201, 250])  # the tail: none, one image for two contexts, shared
def test_two_contexts_match_one(name: str, count: int, mnist):
    nets = [zoo.get_model(name, seed=0) for _ in range(2)]
    one, two = (
        zoo.fit(net, mnist.train[:count], mnist.test[:301], replace(SMALL, learning_rate=0.01), ctx=ctx)
        for net, ctx in zip(nets, (mx.cpu(0), [mx.cpu(0), mx.cpu(1)]))
    )
    assert_close(*nets, 1e-5)
    for first, second in zip(one.records, two.records):
        assert first.train_loss == pytest.approx(second.train_loss, rel=1e-5)
        assert first.validation_accuracy == second.validation_accuracy


def test_contexts_other_than_the_current_one_train(mnist):
    """As on two GPUs, none of the network's contexts is MXNet's current one, cpu(0)."""
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:1000], mnist.test[:200], SMALL, ctx="cpu(1),cpu(2)")
    assert history.contexts == ("cpu(1)", "cpu(2)") and history.records[1].train_accuracy > 0.5


def test_batch_normalization_on_two_contexts_is_saved_as_it_was_evaluated(mnist, tmp_path: Path):
    net, part = zoo.get_model("cnn7_relu", seed=0), mnist.test[:200]
    history = zoo.fit(net, mnist.train[:1000], part, replace(SMALL, epochs=1), ctx="cpu(0),cpu(1)", out=tmp_path)
    assert history.records[0].train_accuracy > 0.3
    assert net.collect_params()["bn1_gamma"].list_ctx() == [mx.cpu(0), mx.cpu(1)]
    first, second = (mean.asnumpy() for mean in net.collect_params()["bn1_running_mean"].list_data())
    assert (first == second).all()
    loaded = zoo.get_model("cnn7_relu")
    zoo.load_parameters(loaded, tmp_path / "final.params")
    assert zoo.evaluate(loaded, part).loss == pytest.approx(history.records[0].validation_loss, rel=1e-6)


def test_a_context_without_images_keeps_its_statistics(mnist):
    """One image for two contexts: the second context takes part only in the update of the weights."""
    net = zoo.get_model("cnn7_relu", ctx=[mx.cpu(0), mx.cpu(1)], seed=0)
    list(TrainingSession(net, mnist.train[:3], zoo.Recipe(batch_size=2), [mx.cpu(0), mx.cpu(1)]).run(np.arange(1)))
    mean, weight = (net.collect_params()[name].list_data() for name in ("bn1_running_mean", "conv1_weight"))
    assert (mean[1].asnumpy() == 0).all() and not (mean[0].asnumpy() == 0).all()
    assert (weight[0].asnumpy() == weight[1].asnumpy()).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains(optimizer: str, mnist):
    recipe = zoo.Recipe(epochs=2, batch_size=50, optimizer=optimizer, learning_rate=0.01)
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:2000], recipe=recipe)
    assert history.records[1].train_loss < 0.95 * history.records[0].train_loss


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_seed_gives_one_result_bit_for_bit(optimizer: str, mnist):
    def train(seed: int) -> str:
        net = zoo.get_model("cnn7", seed=seed)
        recipe = zoo.Recipe(epochs=2, batch_size=64, optimizer=optimizer, learning_rate=0.01, seed=seed)
        zoo.fit(net, mnist.train[:300], recipe=recipe)
        return zoo.parameter_hash(net)

    assert train(1) == train(1) != train(2)


def test_the_shuffle_and_dropout_follow_the_recipe_s_seed(mnist):
    hashes = []
    for seed in (1, 2):
        net = zoo.get_model("mlp", seed=0)
        zoo.fit(net, mnist.train[:300], recipe=replace(SMALL, seed=seed))
        hashes.append(zoo.parameter_hash(net))
    assert hashes[0] != hashes[1]


def test_history_holds_every_epoch(mnist):
    net, seen = zoo.get_model("mlp", seed=0), []
    history = zoo.fit(net, mnist.train[:1050], mnist.test[:500], SMALL, on_epoch=seen.append)
    assert history.records == tuple(seen) and [record.epoch for record in seen] == [1, 2]
    assert history.stopped == "finished"
    assert history.recipe == replace(SMALL, dtype=Execution.of(net, dtype="auto").dtype)
    evaluation = zoo.evaluate(net, mnist.test[:500])
    assert evaluation.accuracy == seen[-1].validation_accuracy and evaluation.loss == seen[-1].validation_loss
    assert seen[1].train_loss < seen[0].train_loss
    assert history.best_epoch == max(seen, key=lambda record: record.validation_accuracy).epoch


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"batch_size": 501}, "the batch size 501 is larger than the 500 training images"),
        ({"stop_at": 0.9}, "stop_at needs validation data"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(mnist, changes: dict, words: str):
    with pytest.raises(zoo.ZooError, match=words):
        zoo.fit(zoo.get_model("mlp"), mnist.train[:500], recipe=replace(SMALL, **changes))


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"momentum": 1.0},
     {"weight_decay": -0.1}, {"stop_at": 99.0}, {"seed": -1}, {"optimizer": "sdg"},
     {"optimizer": "adam", "momentum": 0.9}],
)  # fmt: skip
def test_an_impossible_recipe_cannot_be_made(changes: dict):
    with pytest.raises(zoo.ZooError, match=next(iter(changes)) if len(changes) == 1 else "momentum"):
        zoo.Recipe(**changes)


def test_a_recipe_takes_numpy_s_numbers():
    recipe = zoo.Recipe(epochs=np.int64(3), learning_rate=np.float32(0.5))
    assert type(recipe.epochs) is int and type(recipe.learning_rate) is float
    with pytest.raises(zoo.ZooError, match="epochs must be a int, not 1.5"):
        zoo.Recipe(epochs=1.5)


def test_what_is_no_data_set_and_what_is_no_classifier_of_digits_is_refused(mnist):
    with pytest.raises(zoo.ZooError, match="must be a zoo.Dataset, such as .*, not a tuple"):
        zoo.fit(zoo.get_model("mlp"), (mnist.train_images, mnist.train_labels))
    five = mx.gluon.nn.Dense(5)
    five.initialize()
    with pytest.raises(zoo.ZooError, match=r"must put out 10 logits for an image, \(1, 10\), and puts out \(1, 5\)"):
        zoo.fit(five, mnist.train[:500])


def test_an_uninitialized_network_is_refused(mnist):
    with pytest.raises(zoo.ZooError, match=r"call net.initialize\(\)"):
        zoo.fit(MODELS["mlp"].build(), mnist.train[:500])


def test_evaluation_counts_right(mnist):
    net = zoo.get_model("lenet5", seed=0)
    part = mnist.test[:1003]
    evaluation = zoo.evaluate(net, part, batch_size=100)
    logits = net(mx.nd.array(part.images[:, None] / 255))
    assert np.abs(evaluation.logits - logits.asnumpy()).max() < 1e-5
    assert (evaluation.predictions == logits.asnumpy().argmax(axis=1)).all()
    assert evaluation.errors == (evaluation.predictions != part.labels).sum()
    assert evaluation.accuracy == 1 - evaluation.errors / 1003
    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(part.labels))
    assert evaluation.loss == pytest.approx(cross_entropy.mean().asscalar(), rel=1e-5)
    assert evaluation.confusion.sum(axis=1).tolist() == np.bincount(part.labels).tolist()
    assert np.trace(evaluation.confusion) == 1003 - evaluation.errors


def test_a_parameter_s_own_learning_rate_is_kept(mnist):
    net = zoo.get_model("mlp", seed=0)
    frozen = net.collect_params()["fc1_weight"]
    frozen.lr_mult = 0.0
    before = zoo.models.weights.state(net)
    zoo.fit(net, mnist.train[:200], recipe=zoo.Recipe(epochs=1, batch_size=50), progress=False)
    changed = {name for name, array in zoo.models.weights.state(net).items() if not np.array_equal(array, before[name])}
    assert changed == {"arg:fc1_bias", "arg:fc2_weight", "arg:fc2_bias"}


def assert_close(first, second, tolerance: float) -> None:
    for (name, ours), theirs in zip(weights.state(first).items(), weights.state(second).values()):
        assert np.abs(ours - theirs).max() < tolerance, name
