"""What a recipe's settings do to training: schedules, label smoothing, Nesterov's momentum, moving averages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import assert_refused

import zoo
from zoo import kernels
from zoo.recipes import SCHEDULES
from zoo.recipes.named import RECIPES
from zoo.runtime import mx
from zoo.training import TrainingSession
from zoo.training.session import segment_seed

SMALL = zoo.Recipe(epochs=2, batch_size=100, learning_rate=0.1, dtype="float32")


@pytest.fixture(params=["kernels", "MXNet"])
def operators(request, monkeypatch):
    """Run with both ways of computing what surrounds a network."""
    if request.param == "MXNet":
        monkeypatch.setattr(kernels, "available", lambda: kernels.Kernels(False, False, "switched off"))


def weights_of(net) -> dict[str, np.ndarray]:
    mx.nd.waitall()
    return {name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()}


@pytest.mark.parametrize(
    "schedule, at",
    [
        ("constant", {0.3: 1, 0.6: 1, 0.99: 1}),
        ("step", {0.3: 1, 0.6: 0.1, 0.99: 0.01}),
        ("exponential", {0.05: 1, 0.15: 0.98, 0.95: 0.98**9}),
        ("cosine", {0.25: (1 + 2**-0.5) / 2, 0.5: 0.5, 0.9999: 0}),
        ("one-cycle", {0.25: 0.75, 0.5: 0.5, 0.9999: 0}),
    ],
)
def test_schedules_go_where_they_say(schedule: str, at: dict[float, float]):
    rates = zoo.Recipe(epochs=10, learning_rate=2.0, schedule=schedule).learning_rates(10_000)
    for progress, share in at.items():
        assert rates[int(progress * 10_000)] == pytest.approx(2 * share, abs=2e-3), progress


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_warm_up_rises_to_the_learning_rate(schedule: str):
    rates = zoo.Recipe(learning_rate=0.5, schedule=schedule, warmup=0.2).learning_rates(1000)
    assert (np.diff(rates[:200]) > 0).all() and rates[0] < 0.01 and rates[199:202].max() == pytest.approx(0.5, rel=0.01)


def test_the_history_has_the_learning_rate_of_each_epoch_s_last_batch(mnist):
    recipe = replace(SMALL, schedule="one-cycle", warmup=0.5, epochs=1)
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:400], recipe=replace(recipe, epochs=2))
    rates = replace(recipe, epochs=2).learning_rates(8)
    assert [record.learning_rate for record in history.records] == pytest.approx([rates[3], rates[7]])


@pytest.mark.parametrize("optimizer, momentum, weight_decay", [("nag", 0.9, 0), ("sgd", 0.9, 1e-3), ("sgd", 0, 0)])
def test_scheduled_updates_are_those_of_gluon_s_trainer(optimizer: str, momentum: float, weight_decay: float, mnist):
    part, (ours, theirs) = mnist.train[:500], [zoo.get_model("lenet5", seed=0) for _ in range(2)]
    recipe = replace(
        SMALL, optimizer=optimizer, momentum=momentum, weight_decay=weight_decay, schedule="cosine", label_smoothing=0.1
    )
    session = TrainingSession(ours, part, recipe, [mx.cpu()])
    list(session.epoch())
    order = np.random.default_rng(recipe.seed).permutation(500)
    settings = {"learning_rate": 0.1, "wd": weight_decay, **({"momentum": momentum} if momentum else {})}
    trainer = mx.gluon.Trainer(theirs.collect_params(), optimizer, settings)
    for start, rate in zip(range(0, 500, 100), recipe.learning_rates(10)):
        batch = order[start : start + 100]
        truth = 0.9 * mx.nd.one_hot(mx.nd.array(part.labels[batch]), 10) + 0.01
        with mx.autograd.record():
            loss = -(mx.nd.log_softmax(theirs(mx.nd.array(part.images[batch, None] / 255))) * truth).sum()
        loss.backward()
        trainer.set_learning_rate(rate)
        trainer.step(100)
    expected = weights_of(theirs)
    for name, value in weights_of(ours).items():
        assert np.allclose(value, expected[name], atol=2e-6), name


def test_label_smoothing_is_cross_entropy_with_smoothed_labels(operators, mnist):
    net, part = zoo.get_model("mlp", seed=0), mnist.train[:100]
    session = TrainingSession(net, part, replace(SMALL, label_smoothing=0.2), [mx.cpu()])
    (result,) = session.run(np.arange(100))
    net = zoo.get_model("mlp", seed=0)
    logits = net(mx.nd.array(part.images[:, None] / 255)).asnumpy().astype(np.float64)
    log_likelihood = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth = 0.8 * np.eye(10)[part.labels] + 0.02
    assert result.loss == pytest.approx(-(truth * log_likelihood).sum(), rel=1e-5)


def test_augmentation_that_changes_nothing_is_none():
    assert zoo.Recipe(augmentation=zoo.Augmentation()) == zoo.Recipe()


def test_a_network_of_many_statistics_has_a_moving_average(mnist):
    """More arrays than one MXNet operator can take: it would write beyond its memory."""
    net = zoo.get_model("ensemble", seed=0)
    assert sum(parameter.grad_req == "null" for parameter in net.collect_params().values()) == 60
    zoo.fit(net, mnist.train[:8], recipe=zoo.Recipe(epochs=1, batch_size=8, ema=0.5))
    means = [each.data().asnumpy() for name, each in net.collect_params().items() if "running_mean" in name]
    assert len(means) == 30 and all(mean.any() and np.isfinite(mean).all() for mean in means)


@pytest.mark.parametrize("contexts", ["cpu(0)", "cpu(0),cpu(1)"])
def test_the_result_is_the_moving_average(contexts: str, mnist):
    """Averages the weights after every batch, statistics included; training continues with its own weights."""
    recipe = replace(SMALL, ema=0.9, momentum=0.9, epochs=2)
    part, placed = mnist.train[:600], zoo.runtime.contexts.check(contexts)
    plain = zoo.get_model("cnn7_relu", ctx=placed, seed=0)
    session = TrainingSession(plain, part, replace(recipe, ema=0.0), placed)

    def first() -> dict[str, np.ndarray]:
        mx.nd.waitall()
        return {name: each.list_data()[0].asnumpy() for name, each in plain.collect_params().items()}

    average, step = first(), 0
    random = np.random.default_rng(recipe.seed)
    for epoch in range(recipe.epochs):
        mx.random.seed(segment_seed(recipe.seed, epoch, 0))
        order = random.permutation(600)
        for start in range(0, 600, 100):
            list(session.run(order[start : start + 100]))
            step += 1
            decay = min(0.9, step / (step + 10))
            average = {name: decay * average[name] + (1 - decay) * value for name, value in first().items()}
    net = zoo.get_model("cnn7_relu", ctx=placed, seed=0)
    zoo.fit(net, part, recipe=recipe)
    for name, parameter in net.collect_params().items():
        found = [each.asnumpy() for each in parameter.list_data()]
        assert all((each == found[0]).all() for each in found)
        assert np.allclose(found[0], average[name], atol=2e-4 * max(1, np.abs(average[name]).max())), name


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_say_what_they_are(name: str):
    recipe = RECIPES[name]
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    assert recipe.optimizer in str(recipe) and f", {epochs}, " in str(recipe)
    assert recipe.seed == 0 and recipe.dtype == "auto"


def test_a_recipe_by_name_with_changes(run):
    done = run(
        *("zoo", "train", "mlp", "--data", "synthetic", "--recipe", "report", "--epochs", 1, "--ema", 0.9),
        *("--schedule", "cosine", "--warmup", 0.1, "--label-smoothing", 0.1, "--augment", "shift=1,rotation=5"),
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("recipe: "))
    for words in (
        "batch 200, 1 epoch,",
        "cosine after a warm-up of 10%",
        "label smoothing 0.1",
        "ema 0.9",
        "rotation 5",
    ):
        assert words in line


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--recipe", "reprot"), ("reprot", "report")),
        (("--augment", "shfit=1"), ("shfit", "shift")),
        (("--augment", "shift=x"), ("shift", "x")),
        (("--schedule", "cosin"), ("cosin", "cosine")),
        (("--warmup", "1"), ("warmup",)),
    ],
)
def test_unknown_settings_are_refused(run_here, arguments: tuple[str, ...], words: tuple[str, ...]):
    assert_refused(run_here("zoo", "train", "mlp", "--data", "synthetic", *arguments), *words)
