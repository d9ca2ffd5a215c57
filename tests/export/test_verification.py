"""Verification beside other runtimes, and the command that writes nothing else."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

import export
import zoo
from export import expected, runtimes
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def net() -> mx.gluon.HybridBlock:
    return zoo.get_model("lenet5", seed=3)


@pytest.mark.parametrize("options", [{}, {"softmax": True}, {"uint8": True}, {"batch": 3}], ids=str)
def test_every_runtime_agrees(options: dict, net, mnist, tmp_path: Path):
    path = export.to_onnx(net, tmp_path / "model.onnx", **options)
    found = export.verify(path, net, mnist.test[:250], seconds=5)
    assert not found.failures, str(found)
    assert found.accuracy == pytest.approx(zoo.evaluate(net, mnist.test[:250]).accuracy)
    assert {each.runtime for each in found.parities} == {each.name for each in runtimes.RUNTIMES if each.is_installed}
    for each in found.parities:
        assert each.refusal is None and 0 < each.items <= 250 and each.same == each.items and each.difference < 1e-5
    assert [str(found).splitlines()[2].split()[:3]] == [["MXNet", mx.__version__, "250"]]


def test_arrays_are_compared_without_accuracy(net, mnist, tmp_path: Path):
    path = export.to_onnx(net, tmp_path / "model.onnx")
    found = export.verify(path, net, np.random.default_rng(0).random((9, 1, 28, 28), np.float32))
    assert found.accuracy is None and not found.failures


def test_another_network_is_no_match(net, mnist, tmp_path: Path):
    path = export.to_onnx(zoo.get_model("lenet5", seed=4), tmp_path / "model.onnx")
    found = export.verify(path, net, mnist.test[:20])
    assert len(found.failures) == len(found.parities)
    assert "ONNX Runtime differs by" in found.failures[0] and "differs by" in str(found)


def test_a_different_prediction_fails_unless_it_is_a_tie():
    outputs = np.array([[1.0, 2.0], [1.0, 1.0 + 1e-7], [3.0, 3.00005]], np.float32)
    assert expected.agreement(outputs[:, ::-1], outputs) == (0, 1)
    assert expected.agreement(outputs, outputs) == (3, 0)


def test_a_slow_runtime_sees_fewer_items(net, mnist, tmp_path: Path):
    path = export.to_onnx(net, tmp_path / "model.onnx")
    found = export.verify(path, net, mnist.test[:1000], seconds=0)
    assert {each.items for each in found.parities} == {8}  # one, and an odd number


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_what_is_no_onnx_file_gets_one_sentence(content: bytes, net, mnist, tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(zoo.ZooError, match="model.onnx is not valid ONNX"):
        export.verify(tmp_path / "model.onnx", net, mnist.test[:8])


@pytest.fixture(scope="module")
def params(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mlp.params"
    zoo.save_parameters(zoo.get_model("mlp", seed=0), path)
    return path


def test_the_command_writes_verified_files(run, params: Path, tmp_path: Path):
    done = run("export", "mlp", "--params", params, "--out", tmp_path / "files", "--seconds", 3)
    assert done.returncode == 0, done.stderr
    assert "10,000 of 10,000" in done.stdout and "agrees" in done.stdout
    written = ["mlp-symbol.json", "mlp-0000.params", "mlp.onnx"]
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-3:]] == [
        str(tmp_path / "files" / n) for n in written
    ]
    assert sorted(each.name for each in (tmp_path / "files").iterdir()) == sorted(written)
    facts = {each.key: each.value for each in onnx.load(tmp_path / "files/mlp.onnx").metadata_props}
    assert facts["model"] == "mlp" and facts["licence"] == "Apache-2.0" and "of 10,000" in facts["accuracy"]


def test_the_command_carries_any_network_over(run, params: Path, tmp_path: Path):
    net = mx.gluon.model_zoo.vision.mobilenet0_25(classes=4)
    net.initialize(mx.init.Xavier())
    net.hybridize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.export(str(tmp_path / "small"))
    arguments = ["--symbol", tmp_path / "small-symbol.json", "--params", tmp_path / "small-0000.params"]
    done = run("export", *arguments, "--input-shape", "3,32,32", "--seconds", 1, "--out", tmp_path / "files")
    assert done.returncode == 0, done.stderr
    assert [each.name for each in (tmp_path / "files").iterdir()] == ["small.onnx"]
    assert_refused(run("export", *arguments, "--format", "both", "--out", tmp_path), "in MXNet's format already")
    assert_refused(run("export", *arguments, "--out", tmp_path), "small-symbol.json", "(1, 28, 28)")


def test_a_disagreement_writes_nothing(params: Path, tmp_path: Path, monkeypatch, capsys):
    from export import cli

    monkeypatch.setattr("export.expected.TOLERANCE", 0.0)
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    arguments = parser.parse_args(["mlp", "--params", str(params), "--out", str(tmp_path / "files"), "--seconds", "0"])
    assert cli.run(arguments) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "files").exists()


@pytest.mark.parametrize("renamed", [1, 2])
def test_an_export_that_is_killed_between_its_files_is_noticed(renamed: int, params: Path, tmp_path: Path, monkeypatch):
    from export import cli

    export.to_symbol(zoo.get_model("mlp", seed=1), tmp_path / "mlp")
    export.to_onnx(zoo.get_model("mlp", seed=1), tmp_path / "mlp.onnx")
    parser, replace, done = argparse.ArgumentParser(), Path.replace, []
    cli.add_arguments(parser)

    def killed(path: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            done.append(target.name)
            if len(done) > renamed:
                raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        cli.run(parser.parse_args(["mlp", "--params", str(params), "--out", str(tmp_path), "--seconds", "0"]))
    with pytest.raises(zoo.WeightsError, match="mlp-0000.params does not hold the weights that .*mlp-symbol.json was"):
        export.load_symbol(tmp_path / "mlp")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["mlp", "--opset", 12], ["opset from 13 to"]),
        (["mlp", "--batch", 0], ["batch size must be at least 1"]),
        (["mlp", "--symbol", "x-symbol.json"], ["one of the two"]),
        ([], ["one of the two"]),
        (["mlp", "--input-shape", "3,8,8"], ["--input-shape is for --symbol"]),
        (["mlp", "--epoch", 10000, "--format", "symbol"], ["four digits"]),
    ],
)
def test_mistakes_get_one_sentence(run_here, params: Path, tmp_path: Path, arguments: list, words: list):
    assert_refused(run_here("export", *arguments, "--params", params, "--out", tmp_path / "files"), *words)
    assert not (tmp_path / "files").exists()


def test_without_onnx_the_symbol_is_written_and_said(params: Path, tmp_path: Path):
    code = (
        "import importlib.util as u, runpy, sys; real = u.find_spec; sys.modules['onnx'] = None\n"
        "u.find_spec = lambda name, *rest: None if name == 'onnx' else real(name, *rest)\n"
        "runpy.run_module('export', run_name='__main__')"
    )
    for form, code_expected in ((), 0), (("--format", "onnx"), 2):
        command = [sys.executable, "-c", code, "mlp", "--params", params, "--out", tmp_path / "files", *form]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == code_expected and "package onnx" in done.stderr, done.stderr
    assert sorted(each.name for each in (tmp_path / "files").iterdir()) == ["mlp-0000.params", "mlp-symbol.json"]
