"""The processes that ``python -m bench peers`` starts: what they say, how they end, and who disturbs them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from bench.contention import Others
from bench.sides.wire import Side, SideFailed
from zoo.runtime import cpus


@pytest.fixture
def side(tmp_path: Path):
    """A side whose ``prepare`` has the given body."""

    def make(body: str, limit: float = 60) -> Side:
        lines = "\n    ".join(body.splitlines())
        source = f"from bench.sides.wire import Prepared, serve\n\ndef prepare(request):\n    {lines}\n\nserve(prepare)"
        (tmp_path / "stub.py").write_text(source)
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        return Side("stub", {"number": 7}, environment, limit)

    return make


def test_what_a_side_prints_does_not_get_between_its_answers(side):
    body = (
        "import os; print('hello'); os.system('echo hello'); print('x' * 200_000)\n"
        "return Prepared(lambda n: {'images': n * request['number'], 'seconds': 1}, dict)"
    )
    with side(body) as started:
        started.ready()
        assert started.check() == {} and started.run(3) == {"images": 21, "seconds": 1}


@pytest.mark.parametrize(
    "body, reason",
    [
        ("from zoo import ZooError; raise ZooError('no such thing')", "no such thing"),
        ("raise RuntimeError('out of luck\\nat line 3')", "RuntimeError: out of luck"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL, probably out of memory"),
        ("import os, sys; print('no room', file=sys.stderr, flush=True); os._exit(3)", "no room"),
        ("import os; os._exit(3)", "the process ended with 3 and said nothing"),
    ],
)
def test_a_side_that_fails_says_why(side, body: str, reason: str):
    with pytest.raises(SideFailed) as failure, side(body) as started:
        started.ready()
    assert str(failure.value) == reason


def test_a_side_that_keeps_silent_is_given_up(side):
    with pytest.raises(SideFailed, match="no answer within 1 s"), side("import time; time.sleep(60)", 1) as started:
        started.ready()


def test_a_side_leaves_nothing_behind(side):
    body = (
        "import subprocess; child = subprocess.Popen(['sleep', '60'])\n"
        "return Prepared(lambda n: {'pid': child.pid}, dict)"
    )
    with side(body) as started:
        started.ready()
        pids = [started.pid, started.run(1)["pid"]]
        assert all(map(alive, pids))
    deadline = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < deadline:  # the grandchild is not ours to wait for
        time.sleep(0.02)
    assert not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_other_programs_are_noticed():
    burn = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as own, subprocess.Popen([sys.executable, "-c", burn]) as other:
        try:
            others = Others(own.pid)
            time.sleep(1)
            with_one = others.share()
        finally:
            own.kill()
            other.kill()
    assert 0 <= with_one <= 1
    if os.cpu_count() == cpus.usable():  # elsewhere it may run on a CPU that is not ours
        assert with_one > 0.2 / cpus.usable()
