"""``python -m bench``: that what it prints is complete and consistent. How fast anything is decides nothing here."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import assert_refused

import zoo
from bench import runner, tables
from bench.cells import Cell, Measurement, Outcome, Round
from bench.measure import Workload, measure

QUICK = ("--seconds", "0.2", "--batch-sizes", "100")


@pytest.fixture(scope="module")
def data() -> zoo.Dataset:
    return zoo.synthetic(train=2000, test=1).train


@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_and_phase_can_be_measured(name: str, phase: str, data):
    workload = Workload(Cell(name, "cpu", "float32", 16, phase), data)
    assert [workload.run(batches).images for batches in (1, 2)] == [16, 32]


def test_a_measurement_has_five_rounds_and_figures_that_fit_together(data):
    cell = Cell("mlp", "cpu", "float32", 50, "train")
    result = measure(cell, data, seconds=0.5)
    assert len(result.rounds) >= 5 and all(each.images % 50 == 0 for each in result.rounds)
    assert (
        min(r.images / r.seconds for r in result.rounds)
        <= result.images_per_second
        <= max(r.images / r.seconds for r in result.rounds)
    )
    assert result.batch_milliseconds(50) <= result.batch_milliseconds(95)
    assert result.flops_per_image == 2 * (2 * 784 * 128 + 3 * 128 * 10)  # the pixels need no gradient
    assert result.epoch_images == 2000
    assert result.memory_mib > 50 and "synthetic" in result.data


def test_figures_follow_from_the_samples():
    rounds = tuple(Round(1000, seconds) for seconds in (1.0, 2.0, 4.0, 5.0, 0.5))
    result = Measurement(rounds, (0.01, 0.02, 0.03), None, 60_000, 100.0, 10**9, 3, True, "test")
    assert result.images_per_second == 500
    assert result.spread == pytest.approx((1000 - 250) / 500)
    assert result.epoch_seconds == 120 and result.batch_milliseconds(50) == 20
    assert result.gflops == 500
    assert Measurement.from_json(json.loads(json.dumps(asdict(result)))) == result


def test_the_command_prints_a_table_and_keeps_the_samples(run, tmp_path: Path, mnist):
    done = run("bench", "--models", "mlp", *QUICK, "--format", "github", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    header, rule, train, infer = done.stdout.splitlines()[:4]
    assert [cell.strip() for cell in header.split("|")[1:6]] == ["model", "context", "dtype", "batch", "phase"]
    assert [line.split("|")[5].strip() for line in (train, infer)] == ["train", "infer"]
    assert "synthetic" not in done.stdout and "threads on" in done.stdout
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["schema"] == tables.SCHEMA and len(saved["results"]) == 2
    assert all(len(result["measurement"]["rounds"]) >= 5 for result in saved["results"])
    for key in ("processor", "cpus_usable", "threads", "mxnet", "mxnet_features", "numpy", "settings", "revision"):
        assert key in saved["environment"]


def test_synthetic_data_is_labelled(run):
    done = run("bench", "--models", "mlp", *QUICK, "--phases", "infer", "--data", "synthetic")
    assert done.returncode == 0 and "data: synthetic data (random pixels, not MNIST)" in done.stdout


def test_a_context_of_several_devices(run):
    done = run(
        "bench",
        "--models",
        "mlp",
        *QUICK,
        "--phases",
        "train",
        "--contexts",
        "cpu(0),cpu(1)",
        "--format",
        "csv",
        "--data",
        "synthetic",
    )
    row = next(csv.DictReader(io.StringIO(done.stdout)))
    assert row["context"] == "cpu(0),cpu(1)" and "synthetic" in row["data"]


def test_a_cell_that_fails_leaves_the_others_alone():
    cells = [Cell("nosuch", "cpu", "float32", 10, "infer"), Cell("mlp", "cpu", "float32", 10, "infer")]
    failed, measured = (runner.run(cell, "synthetic", 0.1) for cell in cells)
    assert failed.measurement is None and "there is no model 'nosuch'" in failed.error
    assert measured.error is None and measured.measurement.images_per_second > 0


@pytest.mark.parametrize(
    "script, reason",
    [("kill -KILL $$", "killed by SIGKILL, most likely for want of memory"), ("kill -SEGV $$", "killed by SIGSEGV"),
     ("echo no room >&2; exit 3", "no room"), ("exit 3", "the process ended with 3 and said nothing")],
)  # fmt: skip
def test_a_process_that_dies_is_reported(script: str, reason: str, tmp_path: Path, monkeypatch):
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(interpreter))
    assert runner.run(Cell("mlp", "cpu", "float32", 10, "infer"), None, 0.1).error == reason


def test_memory_is_the_cell_s_own():
    ballast = bytearray(10**9)
    outcome = runner.run(Cell("mlp", "cpu", "float32", 10, "infer"), "synthetic", 0.1)
    assert outcome.measurement.memory_mib < 700 < len(ballast) / 2**20


@pytest.mark.parametrize("style", tables.FORMATS)
def test_every_format_shows_results_and_failures(style: str):
    result = Measurement((Round(1000, 0.5),) * 5, (0.05,) * 5, 31.0, 60_000, 321.0, 10**6, 3, True, "here")
    good = Outcome(Cell("mlp", "cpu(0)", "float32", 100, "train"), result)
    bad = Outcome(Cell("cnn7", "cpu(0)", "float32", 512, "train"), error="out of memory")
    environment = dict.fromkeys(
        ("processor", "threads", "cpus_usable", "mxnet", "python", "numpy", "date", "revision"), "x"
    )
    text = tables.render([good, bad], {**environment, "gpus": []}, style)
    assert "out of memory" in text and "cnn7" in text
    if style == "json":
        assert json.loads(text)["results"][1]["error"] == "out of memory"
    elif style == "csv":
        first, second = csv.DictReader(io.StringIO(text))
        assert (
            float(first["images/s"]) == 2000 and first["epoch is"] == "measured" and second["error"] == "out of memory"
        )
    else:
        assert "2,000" in text and "measured" in text


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--models", "mpl"], ["no model 'mpl'", "mlp"]),
        (["--contexts", "gpu(0)"], ["gpu(0) does not work here", "possible are cpu(0)"]),
        (["--batch-sizes", "0"], ["at least 1"]),
        (["--batch-sizes", "70000"], ["at most 60,000 images, not 70,000"]),
        (["--batch-sizes", "1", "--contexts", "cpu(0),cpu(1)"], ["cannot be shared"]),
        (["--phases", "test"], ["invalid choice: 'test'"]),
        (["--dtypes", "float8"], ["invalid choice: 'float8'"]),
        (["--format", "word"], ["invalid choice: 'word'"]),
        (["--seconds", "0"], ["--seconds must be above 0"]),
        (["--json", "/dev/null/x.json"], ["cannot write into /dev/null"]),
        (["--json", "tests"], ["cannot write tests: it is a directory"]),
        (["--data", "/nowhere"], ["/nowhere lacks"]),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_measured(run, arguments: list, words: list):
    assert_refused(run("bench", *arguments), *words)
