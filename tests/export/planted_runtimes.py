"""Runtimes that go wrong, each in its own way; another process imports them from here."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from export import runtimes
from export.runtimes.runtime import Forward, Runtime


def planted(name: str, opener) -> Runtime:
    return Runtime(name, opener, lambda: "1.0")


def right(path: Path) -> Forward:
    return runtimes.RUNTIMES[0].open(path)


def late(path: Path) -> Forward:
    Path(os.environ["FILE_TO_EMPTY"]).write_bytes(b"")
    return right(path)


def raises(path: Path) -> Forward:
    raise RuntimeError("\nno such operator\nat line 5")


def exits(path: Path) -> Forward:
    sys.exit("it has had enough")


def crashes(path: Path) -> Forward:
    return lambda *arrays: ctypes.string_at(0)


def aborts_on_the_second_batch(path: Path) -> Forward:
    forward = right(path)
    return lambda data: forward(data) if len(data) == 1 else os.abort()


def is_killed(path: Path) -> Forward:
    os.kill(os.getpid(), signal.SIGKILL)


def ends_silently(path: Path) -> Forward:
    os._exit(0)


def eats_its_answer(path: Path) -> Forward:
    os._exit = lambda code: [each.write_bytes(b"eaten") for each in Path(sys.argv[-2]).iterdir()] and sys.exit(0)
    return right(path)


def removes_its_batches(path: Path) -> Forward:
    shutil.rmtree(sys.argv[-3])
    return right(path)


def hangs(path: Path) -> Forward:
    child = subprocess.Popen(["sleep", "600"])
    Path(os.environ["CHILDREN"]).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def prints(path: Path) -> Forward:
    print("no answer", flush=True)
    os.write(1, b"1" * 200_000)
    os.write(2, b"2" * 200_000)
    return right(path)


def is_wrong(path: Path) -> Forward:
    forward = right(path)
    return lambda *arrays: [each + np.float32(0.25) for each in forward(*arrays)]


def puts_out_words(path: Path) -> Forward:
    return lambda *arrays: [np.array(["a", "b"])]
