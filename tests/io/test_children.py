"""Programs that this process starts end with it, and take along what they have started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from zoo.io import children

SLEEP = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', MARK]); "
SLEEP += "print('started', flush=True); time.sleep(60)"
PARENT = """
import sys
from zoo.io import children
with children.started([sys.executable, "-c", {child!r}, {mark!r}]):
    print(flush=True)
    sys.stdin.read()
"""


def alive(mark: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if mark in (each.info["cmdline"] or ())]


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """An argument that tells this test's processes apart."""
    return str(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_with_their_parent(number: int, mark: str):
    child = SLEEP.replace("MARK", repr(mark))
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(child=child, mark=mark)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with parent:
        assert parent.stdout.readline()
        assert wait_for(lambda: len(alive(mark)) == 3)  # the guard, the program, and what that has started
        parent.send_signal(number)
        parent.wait()
        assert wait_for(lambda: not alive(mark))


def test_they_end_with_the_block(mark: str):
    child = SLEEP.replace("MARK", repr(mark))
    with pytest.raises(KeyboardInterrupt), children.started([sys.executable, "-c", child, mark]):
        assert wait_for(lambda: len(alive(mark)) == 3)
        raise KeyboardInterrupt
    assert wait_for(lambda: not alive(mark))


def test_one_that_fails_ends_the_others(mark: str):
    child = SLEEP.replace("MARK", repr(mark))
    commands = [[sys.executable, "-c", "import sys; sys.exit('what went wrong')"], [sys.executable, "-c", child, mark]]
    with pytest.raises(subprocess.CalledProcessError) as failed:
        children.run(*commands, timeout=60)
    assert failed.value.returncode == 1 and failed.value.stderr == "what went wrong\n"
    assert wait_for(lambda: not alive(mark))


def test_output_and_errors_come_back_and_input_is_empty():
    code = "import sys; print(len(sys.stdin.read()), sys.argv[1:]); print('e' * 100_000, file=sys.stderr)"
    commands = [[sys.executable, "-c", code, str(number), "a b"] for number in range(3)]
    assert children.run(*commands, timeout=60) == [f"0 ['{number}', 'a b']\n" for number in range(3)]
    with pytest.raises(subprocess.CalledProcessError) as failed:
        children.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], timeout=60)
    assert failed.value.returncode == 128 + 9
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        children.run(["no-such-program"], timeout=60)


def test_one_that_takes_too_long_is_ended(mark: str):
    with pytest.raises(subprocess.TimeoutExpired):
        children.run([sys.executable, "-c", SLEEP.replace("MARK", repr(mark)), mark], timeout=0.5)
    assert wait_for(lambda: not alive(mark))
