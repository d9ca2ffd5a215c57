"""Runtimes that crash, hang, print, raise, or compute something else: a row of the table each, and nothing worse."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import planted_runtimes
import pytest
from planted_runtimes import planted

import export
import zoo
from export import runtimes, verification
from export.runtimes import process
from zoo.runtime import mx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
RUNTIME = runtimes.RUNTIMES[0]


@pytest.fixture(scope="module")
def net() -> mx.gluon.HybridBlock:
    return zoo.get_model("nano", seed=0)


@pytest.fixture(scope="module")
def path(net, tmp_path_factory) -> Path:
    return export.to_onnx(net, tmp_path_factory.mktemp("onnx") / "model.onnx")


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 28, 28), np.float32)


REFUSALS = {
    planted_runtimes.raises: "no such operator",
    planted_runtimes.exits: "it has had enough",
    planted_runtimes.crashes: "it was ended by SIGSEGV",
    planted_runtimes.aborts_on_the_second_batch: "it was ended by SIGABRT",
    planted_runtimes.is_killed: "it was ended by SIGKILL",
    planted_runtimes.ends_silently: "it ended without an answer",
    planted_runtimes.eats_its_answer: "it ended without an answer",
    planted_runtimes.puts_out_words: "could not convert string to float",
    planted_runtimes.removes_its_batches: "it ended without an answer",  # the last, since they are everyone's
}


def test_what_becomes_of_a_runtime_is_told_in_its_row(net, path: Path, data, monkeypatch):
    broken = tuple(planted(f"Planted {number}", opener) for number, opener in enumerate(REFUSALS))
    monkeypatch.setattr(verification, "RUNTIMES", (RUNTIME, *broken))
    found = export.verify(path, net, data)
    assert not found.failures, str(found)
    for parity, reason in zip(found.parities[1:], REFUSALS.values()):
        assert parity.items == 0 and reason in parity.refusal, parity
        assert f"cannot run it: {parity.refusal}" in str(found)


def test_what_a_runtime_prints_does_not_matter(net, path: Path, data, monkeypatch, capfd):
    monkeypatch.setattr(verification, "RUNTIMES", (planted("Loud", planted_runtimes.prints),))
    assert export.verify(path, net, data).parities[0].same == 8
    assert capfd.readouterr() == ("", "")


def test_a_file_that_no_runtime_can_run_fails(net, path: Path, data, monkeypatch):
    monkeypatch.setattr(verification, "RUNTIMES", (planted("Broken", planted_runtimes.raises),))
    assert export.verify(path, net, data).failures == ["no runtime could run the file"]


def test_a_file_that_onnx_runtime_cannot_run_fails(net, path: Path, data, monkeypatch):
    """It is what most files are for."""
    broken = runtimes.Runtime("ONNX Runtime", planted_runtimes.crashes, lambda: "1.0", is_required=True)
    monkeypatch.setattr(verification, "RUNTIMES", (broken, planted("Other", planted_runtimes.right)))
    found = export.verify(path, net, data)
    assert found.failures == ["ONNX Runtime cannot run it: it was ended by SIGSEGV"]
    assert RUNTIME.is_required and [each.is_required for each in runtimes.RUNTIMES].count(True) == 1


def test_a_runtime_errs_alone_if_onnx_runtime_and_the_reference_agree(net, path: Path, data, monkeypatch):
    wrong = planted("Wrong", planted_runtimes.is_wrong)
    monkeypatch.setattr(verification, "RUNTIMES", (RUNTIME, wrong, runtimes.RUNTIMES[-1]))
    found = export.verify(path, net, data)
    assert not found.failures and "differs by" in found.parities[1].failure
    assert f"\nWrong {found.parities[1].failure}: an error of its own" in str(found)
    undecided = dataclasses.replace(found, parities=found.parities[:2])
    assert undecided.failures == [f"Wrong {found.parities[1].failure}"] and "of its own" not in str(undecided)


def test_a_runtime_that_hangs_is_ended_with_its_children(net, path: Path, data, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 2)
    monkeypatch.setenv("CHILDREN", str(tmp_path / "children"))
    monkeypatch.setattr(verification, "RUNTIMES", (planted("Slow", planted_runtimes.hangs),))
    assert "cannot run it: it was ended after 2 seconds" in str(export.verify(path, net, data, seconds=0))
    if (tmp_path / "children").exists():  # it may not have come that far
        assert_ended(tmp_path / "children")


@pytest.mark.parametrize(
    "number, code",
    [
        (signal.SIGTERM, 130),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGKILL, -9, marks=pytest.mark.exhaustive),
    ],
)
def test_nothing_outlives_a_command_that_is_ended(number: int, code: int, net, path: Path, tmp_path: Path):
    script = (
        "import sys, planted_runtimes, export, zoo; from export import verification; from zoo.console import guarded\n"
        "verification.RUNTIMES = (planted_runtimes.planted('Slow', planted_runtimes.hangs),)\n"
        "call = lambda: export.verify(sys.argv[1], zoo.get_model('nano', seed=0), zoo.load_mnist().test[:8]) and 0\n"
        "sys.exit(guarded(call))"
    )
    environment = {
        **os.environ, "TMPDIR": str(tmp_path / "temporary"), "CHILDREN": str(tmp_path / "children"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }  # fmt: skip
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], env=environment, stderr=subprocess.PIPE
    ) as started:
        wait_for(lambda: (tmp_path / "children").exists() and len((tmp_path / "children").read_text().split()) == 2)
        started.send_signal(number)
        assert started.wait(60) == code, started.stderr.read()
    assert_ended(tmp_path / "children")
    if number != signal.SIGKILL:
        assert not list((tmp_path / "temporary").iterdir())


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def assert_ended(children: Path) -> None:
    for number in children.read_text().split():
        wait_for(lambda number=number: not Path("/proc", number).exists() or is_zombie(number))


def is_zombie(number: str) -> bool:
    try:
        return ") Z " in Path("/proc", number, "stat").read_text()
    except OSError:
        return True


def test_runtimes_do_not_load_mxnet():
    code = "import sys, export.runtimes.child; sys.exit('mxnet' in sys.modules or 'zoo.models' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                          check=False).returncode == 0  # fmt: skip
