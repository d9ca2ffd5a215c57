"""A command that is killed, at any moment, leaves no process, and what litter it leaves goes with the next run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

MARK = "ZOO_TEST_MARK"
QUICK = ("--models", "mlp", "--batch-sizes", "100", "--contexts", "cpu", "--dtypes", "float32", "--seconds", "0.3")
COMMANDS = {
    "train": ("zoo", "train", "mlp", "--epochs", "2", "--out", "{fresh}"),
    "pack": ("zoo", "pack", "{out}/digits", "--threads", "2", "--encoding", ".png"),
    "fetch": ("zoo", "fetch", "--out", "{out}/mnist"),
    "export": ("export", "mlp", "--out", "{out}"),
    "bench": ("bench", *QUICK, "--json", "{out}/result.json", "--profile", "{out}/profiles"),
}


def start(command: tuple[str, ...], folder: Path, number: int) -> subprocess.Popen:
    """Start the command, with a marked environment and a temporary folder of its own."""
    out = folder / "out"
    words = [word.format(out=out, fresh=out / f"run-{number}") for word in command]
    environment = {**os.environ, MARK: str(folder), "TMPDIR": str(folder / "temporary")}
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def alive(folder: Path) -> list[psutil.Process]:
    """The processes that descend from one of :func:`start`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until_none(folder: Path) -> list[psutil.Process]:
    end = time.monotonic() + 5
    while (left := alive(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def litter(folder: Path) -> list[str]:
    """What is temporary by its name or its place, but for what other software leaves."""
    found = [*(folder / "out").rglob(".*"), *(folder / "temporary").iterdir()]
    return [str(path) for path in found if path.name != ".ses"]  # by ONNX Runtime


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("out", "temporary"):
        (tmp_path / name).mkdir()
    return tmp_path


def finish(command: tuple[str, ...], folder: Path, number: int) -> None:
    process = start(command, folder, number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_leaves_nothing(name: str, folder: Path, mnist):
    command, chosen = COMMANDS[name], random.Random(0)
    begun = time.monotonic()
    finish(command, folder, 0)
    seconds = time.monotonic() - begun
    for number in range(1, 4):
        process = start(command, folder, number)
        time.sleep(chosen.uniform(0.3, 1) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not wait_until_none(folder)
    finish(command, folder, 4)
    assert not litter(folder)


@pytest.mark.exhaustive
@pytest.mark.parametrize("to_all", [False, True])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_told_to_end_does_so_at_once(name: str, to_all: bool, folder: Path, mnist):
    """By SIGTERM, to the process or, as ``timeout`` and service managers send it, to its group."""
    command = COMMANDS[name]
    process = start(command, folder, 0)
    time.sleep(2)
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode in (130, 0) and "Traceback" not in said, said
    assert not wait_until_none(folder) and not litter(folder)
