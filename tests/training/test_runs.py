"""A training run ends well whatever happens: its results so far are kept, and nothing else is touched."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import zoo
from zoo import kernels
from zoo.runtime import mx

SMALL = zoo.Recipe(epochs=2, batch_size=100, learning_rate=0.1)


def test_a_diverging_loss_is_reported_with_epoch_batch_and_learning_rate(mnist):
    with pytest.raises(
        zoo.DivergenceError, match=r"loss is (nan|inf) in epoch 1, batch \d+, with the learning rate 1e\+20"
    ):
        zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:3000], recipe=replace(SMALL, learning_rate=1e20))


@pytest.mark.parametrize("validated", [True, False])
def test_weights_that_diverge_with_the_last_batch_are_noticed(validated: bool, mnist, tmp_path: Path):
    """The loss is from before the update, so the last batch's loss says nothing about its own update."""
    recipe = zoo.Recipe(epochs=2, batch_size=500, learning_rate=1e38)
    with pytest.raises(zoo.DivergenceError, match="network is no longer finite in epoch 1, after its last batch"):
        zoo.fit(
            zoo.get_model("mlp", seed=0),
            mnist.train[:500],
            mnist.test[:100] if validated else None,
            recipe,
            out=tmp_path,
        )
    assert not any(tmp_path.iterdir())


def test_a_run_that_diverges_keeps_what_it_had(mnist, tmp_path: Path):
    net, seen = zoo.get_model("mlp", seed=0), []

    def spoil(record: zoo.EpochRecord) -> None:
        seen.append(record)
        if len(seen) == 2:
            net.collect_params()["fc1_weight"].set_data(mx.nd.full((128, 784), float("nan")))

    found = "no longer finite in epoch 3, after its last batch, with"  # MXNet's ReLU turns it into zeros
    if kernels.available().usable:
        found = "the loss is nan in epoch 3, batch 1, with"
    with pytest.raises(zoo.DivergenceError, match=found):
        recipe = replace(SMALL, epochs=5, dtype="float32")
        zoo.fit(net, mnist.train[:1000], mnist.test[:500], recipe, out=tmp_path, on_epoch=spoil)
    saved = json.loads((tmp_path / "history.json").read_text())
    assert saved["stopped"] == "diverged" and len(saved["records"]) == 2
    best = zoo.get_model("mlp")
    zoo.load_parameters(best, tmp_path / "best.params")
    assert zoo.parameter_hash(best) == zoo.parameter_hash(net)
    assert zoo.evaluate(best, mnist.test[:500]).accuracy == max(record.validation_accuracy for record in seen)


@pytest.mark.parametrize("validated", [True, False])
def test_an_interrupted_run_keeps_weights_below_the_threshold_too(validated: bool, mnist, tmp_path: Path):
    net = zoo.get_model("mlp", seed=0)
    with pytest.raises(zoo.TrainingInterrupted) as interruption:
        zoo.fit(
            net, mnist.train[:500], mnist.test[:500] if validated else None, replace(SMALL, epochs=9, keep_from=1.0),
            out=tmp_path, on_epoch=lambda record: record.epoch == 2 and signal.raise_signal(signal.SIGINT),
        )  # fmt: skip
    history = interruption.value.history
    assert history.stopped == "interrupted" and len(history.records) == 2 and history.best_epoch in (1, 2)
    kept = zoo.get_model("mlp")
    zoo.load_parameters(kept, tmp_path / "best.params")
    assert zoo.parameter_hash(kept) == zoo.parameter_hash(net)


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_error_in_the_caller_s_code_costs_nothing(epoch: int, mnist, tmp_path: Path):
    def fail(record: zoo.EpochRecord) -> None:
        if record.epoch == epoch:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:500], mnist.test[:100], SMALL, out=tmp_path, on_epoch=fail)
    saved = json.loads((tmp_path / "history.json").read_text())
    assert saved["stopped"] == "failed" and len(saved["records"]) == epoch
    zoo.load_parameters(zoo.get_model("mlp"), tmp_path / "best.params")


def test_a_directory_holds_one_run(mnist, tmp_path: Path):
    zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:500], recipe=SMALL, out=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(zoo.ZooError, match="holds a run already"):
        zoo.fit(zoo.get_model("mlp", seed=1), mnist.train[:500], recipe=SMALL, out=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_training_stops_at_the_target(mnist):
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:5000], mnist.test[:500],
                      zoo.Recipe(epochs=50, batch_size=50, stop_at=0.85))  # fmt: skip
    assert history.stopped == "target" and len(history.records) < 50
    assert (
        history.records[-1].validation_accuracy
        >= 0.85
        > max([0, *(r.validation_accuracy for r in history.records[:-1])])
    )


def test_best_and_final_weights_are_written(mnist, tmp_path: Path):
    net = zoo.get_model("mlp", seed=0)
    recipe = zoo.Recipe(epochs=6, batch_size=20, learning_rate=0.5)
    history = zoo.fit(net, mnist.train[:1000], mnist.test[:1000], recipe, out=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.params", "final.params", "history.json"]
    best = zoo.get_model("mlp")
    zoo.load_parameters(best, tmp_path / "best.params")
    best_accuracy = max(record.validation_accuracy for record in history.records)
    assert zoo.evaluate(best, mnist.test[:1000]).accuracy == best_accuracy
    zoo.load_parameters(best, tmp_path / "final.params")
    assert zoo.parameter_hash(best) == zoo.parameter_hash(net)
    saved = json.loads((tmp_path / "history.json").read_text())
    assert saved["best_epoch"] == history.best_epoch and len(saved["records"]) == 6


def test_weights_below_the_threshold_are_not_kept(mnist, tmp_path: Path):
    recipe = replace(SMALL, keep_from=0.999)
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:500], mnist.test[:500], recipe, out=tmp_path)
    assert history.best_epoch is None and not (tmp_path / "best.params").exists()


def test_ctrl_c_keeps_the_best_weights(tmp_path: Path, mnist):
    command = [sys.executable, "-u", "-m", "zoo", "train", "mlp", "--epochs", "1000", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch 2"):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.split("\n")[1:] == [
        "stopping after the batches under way; Ctrl-C again aborts at once",
        "error: interrupted",
        "",
    ]
    assert f"written to {tmp_path}: best.params (epoch" in out
    net = zoo.get_model("mlp")
    zoo.load_parameters(net, tmp_path / "best.params")
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["stopped"] == "interrupted" and len(history["records"]) >= 2
    best = max(record["validation_accuracy"] for record in history["records"])
    assert zoo.evaluate(net, mnist.train[-5000:]).accuracy == best


def test_a_disk_that_fills_up_does_not_end_training(tmp_path: Path, mnist):
    """A limit on file sizes stands in for a full disk: the weights do not fit, and the old file stays."""
    (tmp_path / "best.params").write_text("what an earlier run left")
    code = (
        "import resource, sys; from zoo.cli import main; import zoo.runtime\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"sys.exit(main(['train', 'mlp', '--epochs', '2', '--out', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "epoch 2" in done.stdout
    assert "training goes on" in done.stderr
    assert done.stderr.strip().endswith(f"error: cannot write {tmp_path}/best.params: File too large")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.params", "history.json"]
    assert (tmp_path / "best.params").read_text() == "what an earlier run left"


def test_the_history_says_what_was_run_and_what_came_of_it(run, mnist, tmp_path: Path):
    out = tmp_path / "run"
    arguments = ("train", "mlp", "--epochs", 1, "--seed", 3, "--holdout", 0, "--out", out)
    assert run("zoo", *arguments).returncode == 0
    history = zoo.History.read(out / "history.json")
    command = history.command
    assert command.line == "python -m zoo train mlp --epochs 1 --seed 3 --holdout 0 --out .../run"  # no absolute path
    assert (command.model, command.recipe) == ("mlp", None)  # its own recipe has more epochs
    assert (command.training_images, command.validation_images) == (60_000, 0)
    net = zoo.get_model("mlp")
    assert zoo.load_parameters(net, out / "final.params") == command.sha256
    assert zoo.evaluate(net, mnist.test).errors == command.test.errors
    assert history.recipe.seed == 3 and history.seconds == history.records[0].seconds > 0


def test_a_history_comes_back_as_it_was_written_and_damaged_ones_are_refused(mnist, tmp_path: Path):
    path = tmp_path / "history.json"
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:500], mnist.test[:100], SMALL, out=tmp_path)
    assert zoo.History.read(path) == history
    intact = json.loads(path.read_text())
    for change, words in (
        ({"threads": "two"}, 'threads should be int, not "two"'),
        ({"recipe": None}, "recipe should be an object, not null"),
        ({"records": [{"epoch": 1}]}, r"records\[0\] lacks learning_rate"),
        ({"weather": "fine"}, "has the unknown field weather"),
    ):
        path.write_text(json.dumps({**intact, **change}))
        with pytest.raises(zoo.ZooError, match=words):
            zoo.History.read(path)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(zoo.ZooError, match="history.json is damaged or not valid JSON"):
        zoo.History.read(path)
