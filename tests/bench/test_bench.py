"""``python -m bench``: what it prints is complete and consistent. No test here depends on how fast anything is."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import xml.etree.ElementTree
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import assert_refused

import zoo
from bench import ceilings, environment, results, tables
from bench.cells import ARITHMETIC, Ceiling, Cell, Measurement, Outcome, Round, highest, peak
from bench.cli import table
from bench.measure import Workload, measure
from bench.sides import runner
from zoo import kernels
from zoo.runtime import STATUS, contexts, cpus, mx

QUICK = ("--seconds", "0.2", "--batch-sizes", "100")


@pytest.fixture(scope="module")
def data() -> zoo.Dataset:
    return zoo.synthetic(train=2000, test=1).train


@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_and_phase_can_be_measured(name: str, phase: str, data):
    workload = Workload(Cell(name, "cpu", "float32", 16, phase), data)
    assert [workload.run(batches).images for batches in (1, 2)] == [16, 32]


@pytest.mark.parametrize("dtype, phase", [("bfloat16", "train"), ("bfloat16", "infer"), ("int8", "infer")])
def test_other_dtypes_can_be_measured(dtype: str, phase: str, data):
    if dtype == "bfloat16" and "avx512bw" not in cpus.flags():
        pytest.skip("bfloat16 needs AVX-512")
    assert Workload(Cell("cnn7", "cpu(0)", dtype, 16, phase), data).run(1).images == 16


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
    done = run(
        "bench", "--models", "mlp", *QUICK, "--dtypes", "float32", "--format", "github", "--json",
        tmp_path / "result.json", "--history", tmp_path / "history", "--ceilings", "measure",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    announced, *lines = done.stderr.splitlines()
    assert announced.startswith("measuring 2 cells, about ")
    assert [line.split(": ")[0] for line in lines] == [
        "1/4  mlp on cpu(0), float32, batch 100, train", "2/4  mlp on cpu(0), float32, batch 100, infer",
        "3/4  ceiling of float32", "4/4  ceiling of memory",
    ]  # fmt: skip
    assert all(re.search(r": [\d,]+ images/s, .* left$", line) for line in lines[:2])
    header, _, train, infer = done.stdout.splitlines()[:4]
    assert [cell.strip() for cell in header.split("|")[1:6]] == ["model", "context", "dtype", "batch", "phase"]
    assert [line.split("|")[5].strip() for line in (train, infer)] == ["train", "infer"]
    assert "synthetic" not in done.stdout and "threads on" in done.stdout
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["schema"] == results.SCHEMA and len(saved["results"]) == 2
    assert {each["of"] for each in saved["ceilings"]} == {"float32", "read", "copied"}
    assert all(each["rate"] > 0 for each in saved["ceilings"]) and "at most: " in done.stdout
    assert all(line.split("|")[-2].strip().endswith("%") for line in (train, infer))
    assert environment.capture()["kernels"] == saved["environment"]["kernels"]
    (added,) = (tmp_path / "history").iterdir()
    assert results.load(added) == results.load(tmp_path / "result.json")
    for measurement in results.load(added).measured.values():
        assert len(measurement.reference_seconds) == len(measurement.rounds) >= 5
        assert all(each.cpu_seconds > 0 for each in measurement.rounds)
    for key in (
        "processor",
        "cpus_usable",
        "threads",
        "mxnet",
        "mxnet_features",
        "numpy",
        "settings",
        "revision",
        "amx",
    ):
        assert key in saved["environment"]


def test_a_context_of_several_devices(run):
    done = run(
        "bench", "--models", "mlp", *QUICK, "--phases", "train", "--dtypes", "float32", "--contexts", "cpu(0),cpu(1)",
        "--format", "csv", "--data", "synthetic", "--ceilings", "measure",
    )  # fmt: skip
    row = next(csv.DictReader(io.StringIO(done.stdout)))
    assert row["context"] == "cpu(0),cpu(1)" and "synthetic" in row["data"]
    assert float(row["of peak"]) == pytest.approx(float(row["GFLOP/s"]) / float(row["peak GFLOP/s"]))


def test_a_cell_that_fails_leaves_the_others_alone():
    cells = [Cell("nosuch", "cpu", "float32", 10, "infer"), Cell("mlp", "cpu", "float32", 10, "infer")]
    failed, measured = (runner.run(cell, "synthetic", 0.1) for cell in cells)
    assert failed.measurement is None and "there is no model 'nosuch'" in failed.error
    assert measured.error is None and measured.measurement.images_per_second > 0
    remarks = tables.remarks([failed, measured], (), environment.capture())
    assert "data: synthetic data (random pixels, not MNIST)" in remarks and failed.error in remarks


@pytest.mark.parametrize(
    "script, reason",
    [("kill -KILL $$", "killed by SIGKILL, probably out of memory"), ("kill -SEGV $$", "killed by SIGSEGV"),
     ("echo no room >&2; exit 3", "no room"), ("exit 3", "the process ended with 3 and said nothing")],
)  # fmt: skip
def test_a_process_that_dies_is_reported(script: str, reason: str, tmp_path: Path, monkeypatch):
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(interpreter))
    assert runner.run(Cell("mlp", "cpu", "float32", 10, "infer"), None, 0.1).error == reason
    assert runner.probe("memory", 0.1) == [Ceiling("memory", None, reason)]


def test_memory_is_the_cell_s_own():
    ballast = bytearray(10**9)
    outcome = runner.run(Cell("mlp", "cpu", "float32", 10, "infer"), "synthetic", 0.1)
    assert outcome.measurement.memory_mib < 700 < len(ballast) / 2**20


CEILINGS = (
    Ceiling("float32", 50.0, ARITHMETIC),
    Ceiling("bfloat16", 80.0, "a product"),
    Ceiling("read", 9.0, "512 MiB"),
)


@pytest.mark.parametrize("style", tables.FORMATS)
def test_every_format_shows_results_and_failures(style: str):
    result = Measurement((Round(1000, 0.5),) * 5, (0.05,) * 5, 31.0, 60_000, 321.0, 10**7, 3, True, "here")
    good = Outcome(Cell("mlp", "cpu(0)", "float32", 100, "train"), result)
    on_gpu = Outcome(Cell("mlp", "gpu(0)", "float32", 100, "train"), result)
    bad = Outcome(Cell("cnn7", "cpu(0)", "float32", 512, "train"), error="out of memory")
    found = dict.fromkeys(("processor", "threads", "cpus_usable", "mxnet", "python", "numpy", "date", "revision"), "x")
    arguments = [good, on_gpu, bad], CEILINGS, {**found, "gpus": []}
    text, remarks = tables.render(*arguments, style), tables.remarks(*arguments)
    assert "out of memory" in remarks and remarks.endswith(
        "at most: 50 GFLOP/s float32, 80 GFLOP/s bfloat16 (a product), 9 GB/s read"
    )
    assert "cnn7" in text
    if style == "json":
        read = json.loads(text)
        assert read["results"][2]["error"] == "out of memory" and read["ceilings"][0]["rate"] == 50
    elif style == "csv":
        first, second, third = csv.DictReader(io.StringIO(text))
        assert float(first["images/s"]) == 2000 and first["epoch is"] == "measured"
        assert (first["of peak"], first["peak GFLOP/s"], first["GFLOP/s"]) == ("0.4", "50.0", "20.0")
        assert second["of peak"] == second["peak GFLOP/s"] == "" and third["error"] == "out of memory"
    else:
        assert "2,000" in text and "measured" in text and "failed" in text and text.count("40.0") == 1
        assert (remarks in text) != (style in tables.BARE)
    if style in ("html", "unsafehtml"):
        assert len(xml.etree.ElementTree.fromstring(text).findall("tbody/tr")) == 3
    elif style == "tsv":
        header, *rows = text.splitlines()
        assert header.count("\t") == 13 and len(rows) == 3
    elif style.startswith("latex"):
        assert r"40.0\%" in text and text.rstrip().endswith(("\\end{tabular}", "\\end{longtable}"))


def test_what_a_cell_is_measured_against():
    def of(dtype: str, context: str) -> float | None:
        return peak(Cell("mlp", context, dtype, 1, "infer"), CEILINGS)

    assert (of("float32", "cpu(0)"), of("bfloat16", "cpu(0),cpu(1)"), of("int8", "cpu(0)")) == (50.0, 80.0, None)
    assert of("float32", "gpu(0)") is None and of("float32", "cpu(0),gpu(0)") is None


def test_the_best_attempt_is_the_ceiling():
    failed = Ceiling("int8", None, "killed")
    attempts = [Ceiling("float32", 2.0, "a"), failed, Ceiling("float32", 3.0, "b"), Ceiling("float32", 1.0, "c")]
    assert highest(attempts) == (Ceiling("float32", 3.0, "b"), failed)
    assert highest([failed, Ceiling("int8", 1.0, "a")]) == (Ceiling("int8", 1.0, "a"),)


@pytest.mark.parametrize("what", ceilings.PROBES)
def test_every_ceiling_is_measured_or_says_why_not(what: str):
    for ceiling in runner.probe(what, 0.1):
        assert ceiling.how and (ceiling.rate is None or ceiling.rate > 0)
        assert ceiling.rate is not None or what in ("bfloat16", "int8")
        if STATUS.amx and kernels.available().convolution and what in ("bfloat16", "int8"):
            assert ceiling.how == ARITHMETIC and ceiling.rate is not None


@pytest.mark.parametrize("off", ["ZOO_AMX", "ZOO_KERNELS"])
def test_ceilings_without_amx_and_without_kernels(off: str, monkeypatch):
    monkeypatch.setenv(off, "0")
    (float32,), (int8,) = runner.probe("float32", 0.1), runner.probe("int8", 0.1)
    assert float32.rate > 0 and int8.rate is None and int8.how
    assert ("product" in float32.how) == (off == "ZOO_KERNELS" or not kernels.available().usable)
    for bfloat16 in runner.probe("bfloat16", 0.1):
        assert (bfloat16.rate or 0) > 0 or "avx512_bf16" not in cpus.flags()


def chosen(*given: str) -> list[Cell]:
    parser = argparse.ArgumentParser()
    table.add_arguments(parser)
    return table.chosen_cells(parser.parse_args(given), 60_000, table.DEFAULT.sizes)


def test_dtypes_are_those_that_are_fast_here_unless_some_are_asked_for(monkeypatch):
    with_kernels, without = kernels.Kernels(True, True, "here"), kernels.Kernels(True, False, "here")
    monkeypatch.setattr(contexts, "usable", lambda: (mx.cpu(0), mx.gpu(0)))
    monkeypatch.setattr(cpus, "flags", lambda: frozenset({"avx512bw"}))
    monkeypatch.setattr(kernels, "available", lambda: with_kernels)
    cells = chosen("--models", "mlp")
    assert {(cell.context, cell.dtype) for cell in cells} == {
        ("cpu(0)", "float32"), ("cpu(0)", "bfloat16"), ("gpu(0)", "float32")
    }  # fmt: skip
    assert {(cell.batch_size, cell.phase) for cell in cells} == {(200, "train"), (200, "infer"), (1, "infer")}
    assert len(cells) == 3 * 3
    assert {cell.dtype for cell in chosen("--contexts", "gpu(0)")} == {"float32"}
    assert {cell.phase for cell in chosen("--dtypes", "int8")} == {"infer"}
    with pytest.raises(zoo.ZooError, match="bfloat16 runs on CPUs only"):
        chosen("--dtypes", "bfloat16", "--contexts", "gpu(0)")
    with pytest.raises(zoo.ZooError, match="bfloat16 runs on CPUs only"):
        chosen("--dtypes", "bfloat16", "--contexts", "cpu", "gpu(0)")
    monkeypatch.setattr(kernels, "available", lambda: without)
    assert {cell.dtype for cell in chosen("--models", "mlp")} == {"float32"}


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
        (["--dtypes", "float32", "int8", "--phases", "train"], ["int8 is for inference only: add infer to --phases"]),
        (
            ["--dtypes", "int8", "--contexts", "cpu(0),cpu(1)", "--batch-sizes", "32"],
            ["int8 runs on cpu(0) only, not on cpu(0), cpu(1)"],
        ),
        (["--format", "word"], ["invalid choice: 'word'"]),
        (["--seconds", "0"], ["--seconds must be above 0"]),
        (["--time-limit", "soon"], ["the time must be like 90, 90s or 2m", "'soon'"]),
        (["--time-limit", "0"], ["the time must be like 90"]),
        (["--quick", "--full"], ["not allowed with argument"]),
        (["--ceilings", "none"], ["invalid choice: 'none'"]),
        (["--json", "/dev/null/x.json"], ["cannot write into /dev/null"]),
        (["--json", "tests"], ["cannot write tests: it is a directory"]),
        (["--data", "/nowhere"], ["/nowhere lacks"]),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_measured(run_here, arguments: list, words: list):
    assert_refused(run_here("bench", *arguments), *words)
