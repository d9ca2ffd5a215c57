"""``python -m bench peers``: all sides do the same work, and what is printed follows from it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_refused
from networks import unsettled

import zoo
from bench.cells import Round
from bench.peers import comparison, tables, works
from bench.peers.comparison import MISSING, Rounds, compare
from bench.peers.results import Comparison, Result, judge
from bench.peers.works import Configuration, Target, Work
from bench.sides.checks import Check
from bench.sides.wire import SideFailed
from zoo.graph.quantization import is_exact
from zoo.models import weights
from zoo.runtime import mx

WORK = Work("infer", "mlp", 100)
OURS, THEIRS = Configuration("ours", "ours"), Configuration("PyTorch float32", "pytorch")
GOOD = Check("float32", 1e-6, 1.0)


def needs(*packages: str) -> None:
    """Skip if one is missing; none is imported here, as MXNet and PyTorch each bring an OpenMP of their own."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


def result(configuration: Configuration, *seconds: float, **facts) -> Result:
    """A side that took these seconds for 100 images in each round."""
    return Result(
        configuration,
        tuple(Round(100, each) for each in seconds),
        **{"check": GOOD, "others": (0.0,) * len(seconds), **facts},
    )


def test_pytorch_computes_what_every_model_computes(tmp_path: Path, mnist):
    needs("torch")
    pixels = mnist.test_images[:20, None].astype(np.float32) / 255
    for name in zoo.list_models():
        net = unsettled(name, seed=1)
        (tmp_path / f"{name}.json").write_text(net(mx.sym.var("data")).tojson())
        arrays = {key.split(":", 1)[1]: value for key, value in weights.state(net).items()}
        np.savez(tmp_path / name, pixels=pixels, logits=net(mx.nd.array(pixels)).asnumpy(), **arrays)
    code = """
import json, pathlib, sys, numpy, torch
from bench.sides.torch_graph import network
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.npz")):
    given = dict(numpy.load(path))
    net = network(json.loads(path.with_suffix(".json").read_text())["nodes"], given)
    training = {type(each).__name__: each for each in net.modules()}
    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(given["pixels"])).numpy()
    dropout = [each.p for each in net.modules() if isinstance(each, torch.nn.Dropout)]
    norms = [(round(each.momentum, 6), each.eps) for each in net.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    print(json.dumps([path.stem, float(abs(logits - given["logits"]).max()), dropout, norms]))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {name: facts for name, *facts in map(json.loads, done.stdout.splitlines())}
    assert sorted(found) == zoo.list_models()
    assert all(difference < 1e-4 for difference, *_ in found.values())
    assert found["cnn7"][1:] == [[0.2, 0.25, 0.25], [[0.1, 1e-5]] * 3]


def test_training_is_compared_with_pytorch(run, tmp_path: Path):
    needs("torch")
    done = run("bench", "peers", "--models", "mlp", "--only", "PyTorch in float32", "--rounds", 5, "--batches", 3,
               "--json", tmp_path / "peers.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    line = next(line for line in lines if line.startswith("float32 only: train mlp, batch 100  PyTorch in float32"))
    assert "met" in line or "missed" in line
    assert any(line.startswith("mlp ") and "×" in line for line in lines)  # the matrix
    saved = json.loads((tmp_path / "peers.json").read_text())
    assert saved["environment"]["processor"] and saved["packages"]["torch"]
    sides = {side["configuration"]["name"]: side for side in saved["works"][0]["sides"]}
    assert {"this project, float32", "PyTorch float32"} <= set(sides)
    for side in sides.values():
        assert [each["images"] for each in side["rounds"]] == [300] * 5
    for name in ("this project, float32", "PyTorch float32"):  # without dropout, they agree to many digits
        check = sides[name]["check"]
        assert check["difference"] < 1e-5 and check["loss"] == pytest.approx(check["reference_loss"], rel=1e-4)
    (target,) = saved["targets"]
    ours, theirs = (np.array([r["images"] / r["seconds"] for r in sides[target[key]]["rounds"]])
                    for key in ("ours", "theirs"))  # fmt: skip
    assert target["ratio"] == pytest.approx(np.median(ours / theirs))
    assert target["verdict"].startswith("met") == (target["ratio"] >= target["at_least"])


@pytest.mark.parametrize("runtime, package, exact", [
    ("onnx runtime", "onnxruntime", ["ONNX Runtime float32"]),
    ("openvino", "openvino", ["OpenVINO float32", "OpenVINO float32, streams"]),
], ids=["onnxruntime", "openvino"])  # fmt: skip
def test_inference_is_compared_with_every_runtime(run, tmp_path: Path, runtime: str, package: str, exact: list):
    needs("onnx", package)
    done = run("bench", "peers", "--models", "mlp", "--only", "infer mlp, batch 200", "--against", runtime,
               "--rounds", 5, "--batches", 3, "--json", tmp_path / "peers.json")  # fmt: skip
    failed = [line for line in done.stdout.splitlines() if "FAILED" in line]
    if is_exact():
        assert not failed
    assert all("this project, int8" in line for line in failed)  # 12 batches of training are not enough for 7 bits
    assert done.returncode == bool(failed), done.stderr
    sides = json.loads((tmp_path / "peers.json").read_text())["works"][0]["sides"]
    checks = {side["configuration"]["name"]: side["check"] for side in sides}
    assert not [side["error"] for side in sides if side["error"]]
    for name in ("this project, float32", *exact):
        assert checks[name]["difference"] < 1e-5
    if "OpenVINO bfloat16" in checks:
        assert 1e-5 < checks["OpenVINO bfloat16"]["difference"] < 0.1  # it really computes with fewer bits
    assert not [side for side in sides if "PyTorch" in side["configuration"]["name"]]


def test_every_side_has_a_module():
    wanted = {target.work for target in works.targets("cnn7")}
    modules = {each.module for work in wanted for each in works.configurations(work, compiled=True)}
    assert len(modules) == 6 and all(importlib.util.find_spec(f"bench.sides.{module}") for module in modules)


def test_sides_take_turns_and_those_that_fail_drop_out(tmp_path: Path, monkeypatch):
    log = []

    class Fake:
        def __init__(self, module: str, request: dict, environment: dict) -> None:
            self.name, self.pid = request["name"], os.getpid()
            assert not [name for name in environment if name.startswith("OMP_")]

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = ready = lambda self, *_: None

        def check(self) -> dict:
            return {"difference": 0.0, "agreement": 1.0}

        def run(self, batches: int) -> dict:
            log.append(self.name)
            if self.name == "c" and log.count("c") == 3:
                raise SideFailed("it broke")
            return {"images": batches, "seconds": 1.0}

    monkeypatch.setattr(comparison, "Side", Fake)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "facts.json").write_text('{"onnx": "onnx is missing"}')
    able = [Configuration(name, "fake") for name in "abc"]
    unable = [Configuration("d", "fake", requires=("nosuchpackage",)), Configuration("e", "fake", requires=("onnx",))]
    steps = []
    results = compare(WORK, [*able, *unable], tmp_path, None, Rounds(6, 1.0, batches=4), steps.append)
    assert [len(each.rounds) for each in results] == [6, 6, 0, 0, 0]
    assert results[2].error == "it broke" and results[3].error == MISSING and results[4].error
    assert len(steps) == 5 * comparison.steps(Rounds(6, 1.0))
    assert len({"".join(log[start : start + 3]) for start in (0, 3, 6)}) == 3  # a different order in each round
    assert tables.render([], {WORK: results}, Rounds(6, 1.0), zoo_environment(), "here").count(MISSING) >= 1


def zoo_environment() -> dict:
    keys = ("processor", "threads", "cpus_usable", "mxnet", "python", "numpy", "date", "revision")
    return {**dict.fromkeys(keys, "x"), "gpus": []}


def test_the_ratio_is_taken_round_by_round():
    machine = np.array([1.0, 2.0, 4.0, 1.0, 0.5])  # its speed changes, the ratio does not
    compared = Comparison(tuple(300 * machine), tuple(200 * machine))
    assert compared.ratio == pytest.approx(1.5) and compared.interval() == pytest.approx((1.5, 1.5))
    low, high = Comparison((1, 2, 3, 4, 5, 6, 7), (1,) * 7).interval()
    assert 1 <= low < 4 < high <= 7


def test_the_best_of_each_end_are_compared():
    reduced = replace(OURS, name="ours, bfloat16", dtype="bfloat16")
    slower, other = Configuration("PyTorch bfloat16", "pytorch"), Configuration("OpenVINO float32", "openvino_runtime")
    results = [result(OURS, 2, 2, 2), result(reduced, 1, 1, 4), result(THEIRS, 3, 3, 3), result(slower, 4, 4, 1),
               result(other, 0.1, 0.1, 0.1)]  # fmt: skip
    row = judge(Target(WORK, "PyTorch", "PyTorch *", 1.5, 3.0), results)
    assert (row.ours.configuration, row.theirs.configuration, row.verdict) == (reduced, THEIRS, "met, stretch too")
    assert row.comparison.ratio == 3
    assert judge(Target(WORK, "", "PyTorch *", 1.5, 3.1), results).verdict == "met"
    assert judge(Target(WORK, "", "PyTorch *", 3.1), results).verdict == "missed"
    assert judge(Target(WORK, "", "PyTorch *"), results).verdict == ""
    assert judge(Target(WORK, "", "PyTorch *", 1.0, ours="float32"), results).ours.configuration == OURS


def test_a_verdict_on_a_busy_machine_says_so():
    target = Target(WORK, "PyTorch", "PyTorch *", 1.0)
    row = judge(target, [result(OURS, 1, 1, 1), result(THEIRS, 2, 2, 2, others=(0.0, 0.5, 0.4))])
    assert row.verdict == "met (busy machine)" and row.comparison.ratio == 2
    quiet = judge(target, [result(OURS, 1, 1, 1), result(THEIRS, 2, 2, 2, others=(0.0, 0.9, 0.02))])
    assert quiet.verdict == "met"


def test_who_does_other_work_gets_no_verdict():
    wrong = Check("float32", 0.5, 0.7)
    target = Target(WORK, "PyTorch", "PyTorch *", 1.0)
    slower = replace(THEIRS, name="PyTorch bfloat16")
    row = judge(target, [result(OURS, 1), result(THEIRS, 1, check=wrong), result(slower, 2)])
    assert row.comparison is None and "PyTorch float32: check failed: its logits differ by 0.5" in row.verdict
    row = judge(target, [result(OURS, 1, check=wrong), result(THEIRS, 1)])
    assert row.comparison is None and "check failed: its logits differ" in row.verdict
    fallback = replace(OURS, name="ours, other")
    assert judge(target, [result(OURS, 1, check=wrong), result(fallback, 2), result(THEIRS, 1)]).comparison.ratio == 0.5
    assert judge(target, [result(OURS, 1), result(THEIRS, error=MISSING)]).verdict == MISSING
    group = {WORK: [result(OURS, 1), result(THEIRS, 1, check=wrong), result(slower, error="it broke")]}
    text = tables.render([judge(target, group[WORK])], group, Rounds(1, 1.0), zoo_environment(), "here")
    assert "FAILED: its logits differ" in text and "it broke" in text


@pytest.mark.parametrize(
    "check, words",
    [
        (Check("float32", 2e-3, 1.0), "logits differ"),
        (Check("float32", float("nan"), 1.0), "logits differ"),
        (Check("bfloat16", 0.1, 0.98), "98.0% of the images"),
        (Check("float32", 0.0, 1.0, 1.6, 1.5), "1.600 on average instead of 1.500"),
        (Check("float32", 0.0, 1.0, float("nan"), 1.5), "nan on average"),
        (Check("float32", 0.0, 1.0, 1.6, 1.5, deviation=0.024), "1.600 on average instead of 1.500"),
        (Check("float32", 0.0, 1.0, 1.6, 1.5, deviation=0.026), None),
        (Check("bfloat16", 0.1, 0.99, 1.52, 1.5), None),
        (Check("int8", 0.1, 0.99), None),
    ],
)
def test_checks(check: Check, words: str | None):
    assert check.failure is None if words is None else words in check.failure


def test_every_target_has_somebody_on_both_ends():
    for target in (*works.targets("cnn7"), *works.targets("lenet5")):
        able = [each for each in works.configurations(target.work) if target.compares(each)]
        assert {each.is_ours for each in able} == {True, False}, target
        assert len({each.name for each in able}) == len(able)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--rounds", "4"], ["at least 5 rounds"]),
        (["--batches", "0"], ["at least 1 batch"]),
        (["--seconds", "0"], ["--seconds must be above 0"]),
        (["--models", "mpl"], ["no model 'mpl'", "mlp"]),
        (["--only", "caffe"], ["no row matches 'caffe'", "train cnn7, batch 200 against PyTorch"]),
        (["--quick", "--only", "bfloat16"], ["no row matches 'bfloat16'"]),
        (["--json", "tests"], ["cannot write tests: it is a directory"]),
        (["--data", "/nowhere"], ["/nowhere lacks"]),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_measured(run_here, arguments: list, words: list):
    assert_refused(run_here("bench", "peers", *arguments), *words)
