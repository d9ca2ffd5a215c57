"""A run that was cut off anywhere goes on as if nothing had happened, or says why it cannot."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

import zoo
from zoo.data.mnist import Dataset
from zoo.recipes import OPTIMIZERS
from zoo.runtime import mx
from zoo.training import checkpointer, session
from zoo.training.checkpointer import Checkpointer

SMALL = zoo.Recipe(epochs=3, batch_size=50, learning_rate=0.01, dtype="float32")
ALL_OF_IT = replace(SMALL, optimizer="nag", momentum=0.9, weight_decay=1e-4, schedule="one-cycle", ema=0.9,
                    augmentation=zoo.Augmentation(shift=2, elastic=1), label_smoothing=0.1)  # fmt: skip


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Checkpoints every other batch instead of every few minutes."""
    monkeypatch.setattr(session, "SEGMENT", 2)
    monkeypatch.setattr(checkpointer, "EVERY", 0.0)


@pytest.fixture
def interrupted_after(monkeypatch) -> Callable[[int], None]:
    """Ctrl-C after a number of batches, counted over all epochs."""

    def set_up(batches: int) -> None:
        within_epoch, seen = Checkpointer.within_epoch, itertools.count(1)

        def counting(self: Checkpointer, totals: session.Totals) -> None:
            within_epoch(self, totals)
            if next(seen) == batches:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Checkpointer, "within_epoch", counting)

    return set_up


def train(model: str, part: Dataset, recipe: zoo.Recipe, ctx=None, **options) -> tuple[str, zoo.History]:
    net = zoo.get_model(model, ctx=ctx, seed=0)
    history = zoo.fit(net, part[:-50], part[-50:], recipe, ctx, **options)
    return zoo.parameter_hash(net), history


def without_times(history: zoo.History) -> zoo.History:
    return replace(history, records=tuple(replace(record, seconds=0) for record in history.records))


def assert_resumable(
    model: str, recipe: zoo.Recipe, part: Dataset, out: Path, interrupted_after, batches: int, ctx=None
) -> None:
    """Interrupted and resumed, the run has the same weights and the same history as without that."""
    expected, history = train(model, part, recipe, ctx)
    interrupted_after(batches)
    with pytest.raises(zoo.TrainingInterrupted):
        train(model, part, recipe, ctx, out=out)
    found, resumed = train(model, part, recipe, ctx, out=out, resume=True)
    assert found == expected
    assert without_times(resumed) == without_times(history) == without_times(zoo.History.read(out / "history.json"))
    assert sorted(path.name for path in out.iterdir()) == ["best.params", "final.params", "history.json"]
    best = zoo.get_model(model)
    zoo.load_parameters(best, out / "best.params")
    accuracy = zoo.evaluate(best, part[-50:]).accuracy
    assert accuracy == max(record.validation_accuracy for record in history.records)


@pytest.mark.parametrize("batches", [5, 8, 12])  # within the first epoch of 6 batches, within the second, at its end
def test_it_ends_as_a_run_that_was_never_stopped(batches: int, mnist, tmp_path: Path, interrupted_after):
    assert_resumable("nano", ALL_OF_IT, mnist.train[:350], tmp_path, interrupted_after, batches)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(optimizer: str, mnist, tmp_path: Path, interrupted_after):
    recipe = replace(SMALL, optimizer=optimizer, momentum=0.9 if optimizer in ("sgd", "nag") else 0.0)
    assert_resumable("mlp", recipe, mnist.train[:350], tmp_path, interrupted_after, 9)


@pytest.mark.parametrize("recipe", [ALL_OF_IT, replace(SMALL, optimizer="adam")], ids=["nag", "adam"])
@pytest.mark.parametrize("contexts", [1, 3])
def test_every_context_goes_on(contexts: int, recipe: zoo.Recipe, mnist, tmp_path: Path, interrupted_after):
    """BatchNorm has running statistics of its own on every context, and Dropout draws of its own."""
    ctx = [mx.cpu(number) for number in range(contexts)]
    assert_resumable("cnn7", replace(recipe, epochs=2, batch_size=25), mnist.train[:200], tmp_path, interrupted_after,
                     9, ctx)  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("model", zoo.list_models())
def test_every_model_goes_on(model: str, mnist, tmp_path: Path, interrupted_after):
    recipe = replace(zoo.get_card(model).recipe, epochs=2, batch_size=25, stop_at=None, keep_from=0.0)
    assert_resumable(model, recipe, mnist.train[:200], tmp_path, interrupted_after, 9)


def test_weights_that_only_the_interruption_kept_go(mnist, tmp_path: Path, interrupted_after):
    """Below the accuracy from which weights are kept, the best ones are kept only if the run ends early."""
    recipe = replace(SMALL, keep_from=1.0)
    interrupted_after(9)
    with pytest.raises(zoo.TrainingInterrupted):
        train("mlp", mnist.train[:350], recipe, out=tmp_path)
    assert (tmp_path / "best.params").exists()
    _, history = train("mlp", mnist.train[:350], recipe, out=tmp_path, resume=True)
    assert history.best_epoch is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final.params", "history.json"]


def test_a_run_on_more_contexts_goes_on_with_fewer_and_says_so(mnist, tmp_path: Path, interrupted_after):
    interrupted_after(9)
    with pytest.raises(zoo.TrainingInterrupted):
        train("nano", mnist.train[:350], SMALL, [mx.cpu(0), mx.cpu(1)], out=tmp_path)
    with pytest.warns(RuntimeWarning, match=r"another execution \(.*cpu\(1\).*\) than now .* not the same bits"):
        _, history = train("nano", mnist.train[:350], SMALL, out=tmp_path, resume=True)
    assert history.stopped == "finished" and len(history.records) == 3


def test_checkpoints_change_nothing(mnist, tmp_path: Path, monkeypatch):
    found = []
    for every in (0.0, 1e9):
        monkeypatch.setattr(checkpointer, "EVERY", every)
        found.append(train("cnn7", mnist.train[:200], ALL_OF_IT, out=tmp_path / str(every))[0])
    assert found[0] == found[1]


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cut_off(mnist, tmp_path: Path, interrupted_after) -> Path:
    interrupted_after(9)
    with pytest.raises(zoo.TrainingInterrupted):
        train("mlp", mnist.train[:350], SMALL, out=tmp_path)
    return tmp_path


def test_another_recipe_network_or_data_is_refused_by_name(mnist, cut_off: Path):
    part = mnist.train[:350]
    before = {path.name: path.read_bytes() for path in cut_off.iterdir()}
    for model, data, recipe, words in (
        ("mlp", part, replace(SMALL, learning_rate=0.2), r"another recipe: it has learning_rate 0\.01, not 0\.2"),
        ("mlp", part, replace(SMALL, seed=1, ema=0.5), r"it has ema 0\.0, not 0\.5; seed 0, not 1"),
        ("mlp_128_64", part, SMALL, "began with a different network"),
        ("mlp", mnist.train[:400], SMALL, "began with a different training data"),
        ("mlp", part.raw(), SMALL, "began with a different training data"),
        (
            "mlp",
            Dataset(part.images, (part.labels + (np.arange(350) >= 300)) % 10),
            SMALL,
            "a different validation data",
        ),
    ):
        with pytest.raises(zoo.ZooError, match=words):
            train(model, data, recipe, out=cut_off, resume=True)
    assert {path.name: path.read_bytes() for path in cut_off.iterdir()} == before


def test_the_activation_belongs_to_the_network(mnist, tmp_path: Path, interrupted_after):
    """Networks whose parameters have the same shapes are told apart."""
    interrupted_after(5)
    with pytest.raises(zoo.TrainingInterrupted):
        train("cnn7", mnist.train[:350], SMALL, out=tmp_path)
    with pytest.raises(zoo.ZooError, match="a different network"):
        train("cnn7_relu", mnist.train[:350], SMALL, out=tmp_path, resume=True)


def test_a_network_of_one_s_own_goes_on_under_other_names(mnist, tmp_path: Path, interrupted_after):
    """Gluon numbers blocks through a process, and names their parameters after that."""

    def network() -> mx.gluon.HybridBlock:
        net = mx.gluon.nn.HybridSequential()
        net.add(mx.gluon.nn.Dense(32, activation="relu"), mx.gluon.nn.Dropout(0.5), mx.gluon.nn.Dense(10))
        mx.random.seed(0)
        net.initialize(mx.init.Xavier())
        net(mx.nd.zeros((1, 1, 28, 28)))
        return net

    def arrays(**options: object) -> list[np.ndarray]:
        net = network()
        zoo.fit(net, mnist.train[:300], mnist.train[-50:], SMALL, **options)
        return [parameter.data().asnumpy() for parameter in net.collect_params().values()]

    expected = arrays()
    interrupted_after(9)
    with pytest.raises(zoo.TrainingInterrupted):
        arrays(out=tmp_path)
    for found, wanted in zip(arrays(out=tmp_path, resume=True), expected):
        assert np.array_equal(found, wanted)


def test_a_damaged_checkpoint_is_refused_and_kept(mnist, cut_off: Path):
    path = cut_off / "checkpoint.params"
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(zoo.ZooError, match=r"checkpoint\.params is damaged .* name another directory"):
        train("mlp", mnist.train[:350], SMALL, out=cut_off, resume=True)
    assert path.read_bytes() == content[:-100]


@pytest.mark.parametrize("name", ["history.json", "checkpoint.params", "best.params", "final.params"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_no_file_is_not_waited_for(resume: bool, name: str, mnist, tmp_path: Path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(zoo.ZooError, match=f"{name} is in the way: it is not a file"):
        train("mlp", mnist.train[:350], SMALL, out=tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_interrupted_in_its_first_epoch_a_run_begins_again(mnist, tmp_path: Path, interrupted_after):
    expected, _ = train("mlp", mnist.train[:350], SMALL)
    interrupted_after(1)
    for resume in (False, True):
        with pytest.raises(zoo.TrainingInterrupted):
            train("mlp", mnist.train[:350], SMALL, out=tmp_path)
        assert zoo.History.read(tmp_path / "history.json").stopped == "interrupted"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpointer, "within_epoch", lambda *_: None)
            out = tmp_path if resume else tmp_path / "another"
            assert train("mlp", mnist.train[:350], SMALL, out=out, resume=resume)[0] == expected
        interrupted_after(1)


def test_nothing_to_resume(mnist, tmp_path: Path):
    with pytest.raises(zoo.ZooError, match="resume needs out"):
        train("mlp", mnist.train[:350], SMALL, resume=True)
    expected, _ = train("mlp", mnist.train[:350], SMALL)
    found, history = train("mlp", mnist.train[:350], SMALL, out=tmp_path, resume=True)  # begins
    assert found == expected
    again, same = train("mlp", mnist.train[:350], SMALL, out=tmp_path, resume=True)  # is complete
    assert (again, same) == (expected, history)


def test_a_run_of_the_api_says_how_it_goes_on(mnist, cut_off: Path, run_here):
    with pytest.raises(zoo.ZooError, match=r"was interrupted, with 1 of 3 epochs complete: zoo\.fit\(…, resume=True\)"):
        train("mlp", mnist.train[:350], SMALL, out=cut_off)
    assert_refused(run_here("zoo", "train", "--resume", cut_off), "was begun in Python")


def test_a_file_system_without_locks_is_no_obstacle(mnist, tmp_path: Path, monkeypatch):
    from zoo.io import locks

    def unsupported(*_: object) -> None:
        raise OSError(os.errno.ENOTSUP if hasattr(os, "errno") else 95, "not supported")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    _, history = train("mlp", mnist.train[:350], SMALL, out=tmp_path)
    assert history.stopped == "finished"
