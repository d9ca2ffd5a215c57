"""A run that was killed at any moment goes on, and ends with the weights of one that was left alone."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, assert_refused

import zoo
from zoo.data.catalogue import DATASETS
from zoo.data.mnist import locate

# Trains with a checkpoint every other batch, or goes on, and prints the hash; dies before the N-th file is renamed.
VICTIM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import zoo
from zoo.training import checkpointer, session
session.SEGMENT, checkpointer.EVERY = 2, 0.0
model, optimizer, images, out, last = sys.argv[1:]
recipe = replace(zoo.get_card(model).recipe, epochs=3, batch_size=50, optimizer=optimizer, learning_rate=0.005,
                 momentum=0.9 if optimizer == "nag" else 0.0, ema=0.9 if model == "nano" else 0.0, keep_from=0.0)
rename, left = Path.replace, [int(last)]
def fatal(self, target):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.replace = fatal
net, train = zoo.get_model(model, seed=0), zoo.load_mnist().train
zoo.fit(net, train[:int(images)], train[-500:], recipe, out=out, resume=True)
print(zoo.parameter_hash(net))
"""


def victim(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", VICTIM, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_killed_runs_go_on(model: str, optimizer: str, images: int, kills: int, folder: Path) -> None:
    """Kill the run at random moments; in the end, it has the weights of one that was left alone."""
    begun = time.monotonic()
    expected, _ = victim(model, optimizer, images, folder / "left alone", 0).communicate()
    seconds = time.monotonic() - begun
    chosen = random.Random(0)
    for number in range(kills):
        process = victim(model, optimizer, images, folder / f"killed {number}", 0)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chosen.uniform(0, seconds))
        process.kill()
        process.communicate()
        found, said = victim(model, optimizer, images, folder / f"killed {number}", 0).communicate()
        assert found == expected and len(found) == 65, said
        names = sorted(path.name for path in (folder / f"killed {number}").iterdir())
        assert names == ["best.params", "final.params", "history.json"]


@pytest.mark.parametrize(
    "model, optimizer, images", [("mlp", "sgd", 5000), ("nano", "nag", 2000), ("cnn7", "adam", 300)]
)
def test_killed_at_any_moment_it_goes_on(model: str, optimizer: str, images: int, tmp_path: Path, mnist):
    assert_killed_runs_go_on(model, optimizer, images, 1, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "model, images, optimizer", [("mlp", 5000, "sgd"), ("nano", 2000, "nag"), ("cnn7", 300, "adam")]
)
def test_killed_at_many_moments_it_goes_on(model: str, images: int, optimizer: str, tmp_path: Path, mnist):
    assert_killed_runs_go_on(model, optimizer, images, 2, tmp_path)


@pytest.mark.exhaustive
def test_killed_between_any_two_renames_it_goes_on(tmp_path: Path, mnist):
    """Also when every attempt is killed a little later than the one before."""
    expected, _ = victim("mlp", "nag", 200, tmp_path / "left alone", 0).communicate()
    for last in itertools.count(1):
        found, said = victim("mlp", "nag", 200, tmp_path / "killed", last).communicate()
        if found:
            break
        assert last < 30, said
    assert found == expected and last > 3
    assert len(list((tmp_path / "killed").iterdir())) == 3


def test_what_a_killed_run_leaves_is_told_apart_by_its_lock(run, tmp_path: Path, mnist):
    out = tmp_path / "a run"
    command = [sys.executable, "-u", "-m", "zoo", "train", "mlp", "--epochs", "9", "--ema", "0.9", "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout if line.startswith("epoch 2"))
        assert_refused(run("zoo", *command[4:]), f"{out} is in use by another training run")
        process.kill()
    left = zoo.History.read(out / "history.json")
    assert left.stopped == "running" and len(left.records) >= 2
    assert left.command.model == "mlp" and str(tmp_path) not in (out / "history.json").read_text()
    resume = f"python -m zoo train --resume '{out}'"
    assert_refused(run("zoo", *command[4:]), f"{out} holds a run that was killed, with ", f"{resume} goes on with it")
    for words, differs in (
        (("lenet5",), "has model mlp, not lenet5"),
        (("--ema", "0.3"), "has ema 0.9, not 0.3"),
        (("--holdout", "100"), "has holdout 5000, not 100"),
        (("--pixels", "raw"), "has pixels scaled, not raw"),
        (("--lr", "0.3"), "has learning rate 0.1, not 0.3"),
        (("--out", tmp_path), f"has out {out}, not {tmp_path}"),
    ):
        assert_refused(run("zoo", "train", *words, "--resume", out), differs, "goes on as it began")
    moved = out.rename(tmp_path / "moved")
    repeated = ("mlp", "--epochs", 9, "--ema", 0.9, "--lr", 0.1, "--seed", 0, "--holdout", 5000, "--out", moved)
    done = run("zoo", "train", *repeated, "--resume", moved)
    assert done.returncode == 0, done.stderr
    assert f"going on with the run in {moved}: " in done.stdout and "epoch 1:" not in done.stdout
    moved.rename(out)
    history = zoo.History.read(out / "history.json")
    assert history.command.line == left.command.line and history.records[:2] == left.records[:2]
    net = zoo.get_model("mlp")
    assert zoo.load_parameters(net, out / "final.params") == history.command.sha256
    assert history.command.test.errors == zoo.evaluate(net, mnist.test).errors
    assert_refused(run("zoo", "train", "--resume", out), "is complete: there is nothing to go on with")
    assert_refused(run("zoo", "train", "--resume", tmp_path), f"{tmp_path} holds no run to go on with")


def test_the_command_goes_on_from_a_folder_of_any_name(run, mnist, tmp_path: Path):
    """Names are bytes, and need not be text."""
    data = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe4ta\xff"))
    shutil.copytree(locate(DATASETS["mnist"])["train-images-idx3-ubyte"].parent, data,
                    ignore=lambda _, names: [name for name in names if "ubyte" not in name])  # fmt: skip
    out, arguments = tmp_path / "run", ("mlp", "--epochs", "2", "--data", data)
    command = [sys.executable, "-u", "-m", "zoo", "train", *map(str, arguments), "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout if line.startswith("epoch 1"))
        process.kill()
    done = run("zoo", "train", "--resume", out)
    assert done.returncode == 0 and "epoch 2" in done.stdout, done.stderr


def test_killed_before_anything_was_trained_it_leaves_nothing_in_the_way(mnist, tmp_path: Path):
    killed = victim("mlp", "sgd", 200, tmp_path, 3)  # the first checkpoint and the history are complete
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert {"checkpoint.params", "history.json"} <= {path.name for path in tmp_path.iterdir()}
    history = zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:300], recipe=zoo.Recipe(epochs=1), out=tmp_path)
    assert history.stopped == "finished" and not (tmp_path / "checkpoint.params").exists()
