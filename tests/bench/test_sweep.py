"""In which order ``python -m bench`` works, what it shows meanwhile, and how it handles limits and Ctrl-C."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, assert_refused

from bench import kept, sweep, tables
from bench.cells import ARITHMETIC, PHASES, Ceiling, Cell, Latency, Measurement, Outcome, Profile, Round
from bench.cli import table
from bench.pace import Pace
from bench.sides import runner
from bench.sweep import Event, Plan
from zoo import kernels
from zoo.io import files, private
from zoo.runtime import STATUS

ENVIRONMENT = {"date": "2026-11-22T11:39:29+00:00"}
MLP = Cell("mlp", "cpu(0)", "float32", 100, "train")
CNN7 = replace(MLP, model="cnn7")
LOW = replace(MLP, dtype="bfloat16")
GPU = replace(MLP, context="gpu(0)")


def measurement(rate: float) -> Measurement:
    """A measurement of ``rate`` images, and as many GFLOP, per second."""
    return Measurement((Round(1000, 1000 / rate),) * 5, (0.05,) * 5, 31.0, 60_000, 321.0, 10**9, 3, True, "here")


class Machine:
    """Stands in for the processes and the clock: everything takes the seconds that ``takes`` lists for it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes = {"mlp": 10.0, "cnn7": 20.0, "latency": 5.0, "profile": 5.0, "probe": 2.0}
        self.ceiling = 50.0
        self.done: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def _work(self, name: str, kind: str, at_most: float | None) -> None:
        seconds = self.takes[kind]
        self.now += seconds if at_most is None else min(seconds, at_most)
        if at_most is not None and seconds > at_most:
            raise runner.TimeIsUp
        self.done.append(name)

    def run(self, cell: Cell, data, seconds, until, at_most) -> Outcome:
        self._work(str(cell), cell.model, at_most)
        return Outcome(cell, measurement(40.0))

    def latency(self, cell: Cell, data, seconds, rate, at_most) -> Latency:
        self._work("latency", "latency", at_most)
        return Latency(cell, 10.0, 20.0, (0.001, 0.003), 0, 1.0, "here")

    def profile(self, cell: Cell, data, trace: Path, at_most) -> Profile:
        self._work("profile", "profile", at_most)
        return Profile(cell, error="killed")

    def probe(self, what: str, seconds: float, at_most) -> list[Ceiling]:
        self._work(what, "probe", at_most)
        names = ("read", "copied") if what == "memory" else (what,)
        return [Ceiling(of, self.ceiling, ARITHMETIC, 0.01) for of in names]


@pytest.fixture
def machine(monkeypatch, tmp_path: Path) -> Machine:
    found = Machine()
    monkeypatch.setattr(sweep, "time", found)
    for name in ("run", "latency", "profile", "probe"):
        monkeypatch.setattr(runner, name, getattr(found, name))
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    return found


def swept(plan: Plan) -> list[Event]:
    """All events; checks that the time left falls to zero at the end."""
    events = list(sweep.measured(plan, ENVIRONMENT))
    assert [event.said is None for event in events] == [True, False] * (len(events) // 2)
    assert events[-1].left == 0 and events[-1].number == events[-1].total == len(events) // 2
    return events


def test_rows_come_first_and_ceilings_last(machine: Machine):
    events = swept(Plan((MLP, CNN7, GPU), (MLP,), Path("traces")))
    assert machine.done == [
        str(MLP), str(CNN7), str(GPU), "latency", "profile", "profile", "profile", "float32", "memory",
    ]  # fmt: skip
    said = [event.said for event in events if event.said is not None]
    assert said == [*["40 images/s"] * 3, "2.00 ms in the median", *["failed: killed"] * 3,
                    "50 GFLOP/s float32", "50 GB/s read, 50 GB/s copied"]  # fmt: skip
    run = events[-1].run
    assert len(run.measured) == 3 and len(run.latencies) == 1 and len(run.profiles) == 3 and len(run.ceilings) == 3
    assert run.left_out == () and run.environment == ENVIRONMENT


def test_gpus_alone_have_no_ceilings(machine: Machine):
    swept(Plan((GPU,)))
    assert machine.done == [str(GPU)]


def test_the_time_left_follows_the_pace(machine: Machine):
    cells = tuple(replace(MLP, batch_size=size) for size in (1, 2, 3, 4))
    events = swept(Plan(cells, ceilings="skip"))
    assert [event.left for event in events if event.said is not None] == pytest.approx([30, 20, 10, 0])


def test_what_does_not_fit_is_left_out_and_named(machine: Machine):
    cells = tuple(replace(MLP, batch_size=size) for size in (1, 2, 3, 4))
    run = swept(Plan(cells, deadline=machine.now + 35))[-1].run
    ceilings = [f"ceiling of {what}" for what in ("float32", "memory")]
    assert list(run.measured) == list(cells[:3]) and machine.now == 130 and run.ceilings == ()
    assert run.left_out == (str(cells[3]), *ceilings)  # as far as is known, ceilings are as slow as cells
    remarks = tables.omitted(run.left_out)
    assert remarks == [f"left out for lack of time: {cells[3]}; {'; '.join(ceilings)}"]


def test_what_takes_longer_than_expected_is_ended_at_the_limit(machine: Machine):
    run = swept(Plan((MLP, CNN7, MLP), deadline=machine.now + 25, ceilings="skip"))[-1].run
    assert machine.now == 125 and list(run.measured) == [MLP] and run.left_out == (str(CNN7), str(MLP))


def test_a_process_is_ended_at_the_limit():
    with pytest.raises(runner.TimeIsUp):
        runner.run(MLP, "synthetic", 0.1, at_most=0.02)
    with pytest.raises(runner.TimeIsUp):
        runner.probe("memory", 0.1, at_most=0.02)


def test_cached_ceilings_are_measured_once_and_said(machine: Machine):
    plan = Plan((MLP,))
    swept(plan)
    machine.done.clear()
    run = swept(plan)[-1].run
    assert machine.done == [str(MLP)]
    assert {each.cached for each in run.ceilings} == {ENVIRONMENT["date"]} and len(run.ceilings) == 3
    assert tables.rate(run.ceilings[0]) == "50 GFLOP/s float32 (measured 2026-11-22)"
    swept(Plan((MLP, LOW)))
    assert machine.done[1:] == [str(MLP), str(LOW), "bfloat16"]  # the only one not cached


@pytest.mark.parametrize("how, probes, shown", [
    ("measure", ["float32", "memory"], {None}), ("cached", [], {"2026-11-22T11:39:29+00:00"}), ("skip", [], set()),
])  # fmt: skip
def test_ceilings_as_asked_for(how: str, probes: list, shown: set, machine: Machine):
    swept(Plan((MLP,)))
    machine.done.clear()
    machine.ceiling = 45.0  # such as beside other work
    run = swept(Plan((MLP,), ceilings=how))[-1].run
    assert machine.done[1:] == probes and {each.cached for each in run.ceilings} == shown
    assert {each.rate for each in kept.load(["float32"])} == {50.0}  # the higher one stays


def test_a_cached_ceiling_that_a_cell_exceeds_is_measured_again(machine: Machine):
    machine.ceiling = 30.0
    swept(Plan((MLP,)))
    machine.done.clear()
    machine.ceiling = 60.0
    run = swept(Plan((MLP,)))[-1].run
    assert machine.done == [str(MLP), "float32"]
    assert {each.of: each.rate for each in run.ceilings} == {"float32": 60.0, "read": 30.0, "copied": 30.0}
    assert {each.rate for each in kept.load(["float32"])} == {60.0}


@pytest.fixture
def cache(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    return tmp_path


QUIET = Ceiling("float32", 50.0, ARITHMETIC, 0.01)


def test_a_ceiling_is_kept_if_nobody_else_worked(cache: Path):
    kept.keep([replace(QUIET, others=0.4), replace(QUIET, others=None), Ceiling("int8", None, "none")], "2026-11-20")
    assert not list((cache / "ceilings").iterdir())
    kept.keep([QUIET], "2026-11-20T08:00:00+00:00")
    assert kept.load(["float32", "int8", "memory"]) == (replace(QUIET, cached="2026-11-20T08:00:00+00:00"),)
    assert kept.load(["bfloat16", "memory"]) == ()


@pytest.mark.parametrize("change", ["threads", "amx", "kernels", "tuning", "CPUs"])
def test_another_setup_has_ceilings_of_its_own(change: str, cache: Path, monkeypatch):
    kept.keep([QUIET], ENVIRONMENT["date"])
    if change == "threads":
        monkeypatch.setattr(kept, "STATUS", replace(STATUS, threads=STATUS.threads + 1))
    elif change == "amx":
        monkeypatch.setattr(kept, "STATUS", replace(STATUS, amx=not STATUS.amx))
    elif change == "kernels":
        monkeypatch.setattr(kernels, "available", lambda: kernels.Kernels(True, False, "", sha256="0" * 64))
    elif change == "tuning":
        monkeypatch.setenv("OMP_PROC_BIND", "close")
    else:
        monkeypatch.setattr(kept.os, "sched_getaffinity", lambda pid: {7})
    assert kept.load(["float32"]) == ()
    monkeypatch.undo()
    monkeypatch.setattr(files, "user_cache", lambda: cache)
    assert len(kept.load(["float32"])) == 1


@pytest.mark.parametrize("change", [
    lambda raw: raw[:-20], lambda raw: "[]", lambda raw: raw.replace("50.0", "NaN"),
    lambda raw: raw.replace("50.0", "-1"),
    lambda raw: raw.replace("2026-11-22T11:39:29+00:00", "today"), lambda raw: raw.replace('"how"', '"who"'),
])  # fmt: skip
def test_a_damaged_cache_is_measured_again(change, machine: Machine, tmp_path: Path):
    swept(Plan((MLP,)))
    (path,) = (tmp_path / "ceilings").iterdir()
    private.write(path, change(private.read(path).decode()).encode())
    machine.done.clear()
    swept(Plan((MLP,)))
    assert machine.done == [str(MLP), "float32", "memory"]
    assert json.loads(private.read(path))["ceilings"][0]["rate"] == 50.0


def test_a_pipe_in_the_cache_is_replaced(cache: Path):
    kept.keep([QUIET], ENVIRONMENT["date"])
    (path,) = (cache / "ceilings").iterdir()
    path.unlink()
    os.mkfifo(path)
    assert kept.load(["float32"]) == ()
    kept.keep([QUIET], ENVIRONMENT["date"])
    assert path.is_file() and len(kept.load(["float32"])) == 1


def test_a_cache_that_cannot_be_written_is_no_obstacle(machine: Machine, tmp_path: Path):
    (tmp_path / "ceilings").write_text("a file where the folder should be")
    assert len(swept(Plan((MLP,)))[-1].run.ceilings) == 3


@pytest.mark.parametrize("given, seconds, ceilings, sizes", [
    ([], 1.5, "auto", {"train": {200}, "infer": {1, 200}}),
    (["--quick"], 0.5, "cached", {"train": {200}, "infer": {200}}),
    (["--full"], 5.0, "auto", {"train": {1, 32, 200}, "infer": {1, 32, 200}}),
    (["--quick", "--seconds", "3", "--batch-sizes", "7", "--ceilings", "skip"], 3.0, "skip",
     {phase: {7} for phase in PHASES}),
    (["--contexts", "cpu(0),cpu(1)"], 1.5, "auto", {"train": {200}, "infer": {200}}),  # one image cannot be shared
])  # fmt: skip
def test_what_is_not_given_follows_the_extent(given: list, seconds: float, ceilings: str, sizes: dict):
    parser = argparse.ArgumentParser()
    parser.set_defaults(started=0.0)
    table.add_arguments(parser)
    plan = table.plan(parser.parse_args([*given, "--time-limit", "2m"]), 60_000)
    assert (plan.seconds, plan.ceilings, plan.deadline) == (seconds, ceilings, 120.0)
    assert {cell.model for cell in plan.cells} == {"mlp", "cnn7"}
    assert {phase: {cell.batch_size for cell in plan.cells if cell.phase == phase} for phase in sizes} == sizes


def test_a_limit_that_leaves_nothing_is_an_error(run_here):
    assert_refused(run_here("bench", "--data", "synthetic", "--time-limit", "0.001"), "no cell was done within 0 s",
                   "--time-limit")  # fmt: skip


def test_on_a_terminal_rows_appear_above_the_bar_and_ctrl_c_leaves_what_was_measured(tmp_path: Path):
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = [sys.executable, "-m", "bench", "--data", "synthetic", "--models", "mlp", "--batch-sizes", "100",
               "--dtypes", "float32", "--seconds", "0.1", "--contexts", "cpu", "--ceilings", "skip",
               "--json", str(tmp_path / "result.json")]  # fmt: skip
    with open(tmp_path / "table.txt", "w+") as table:
        process = subprocess.Popen(command, cwd=ROOT, stdout=table, stderr=terminal)
        os.close(terminal)
        seen = b""
        while b"mlp on cpu(0), float32, batch 100, infer:  50%|" not in seen:
            seen += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        table.seek(0)
        lines = table.read().splitlines()
    while b"interrupted: " not in seen:
        seen += os.read(master, 4096)
    os.close(master)
    assert lines[0].split()[:4] == ["model", "context", "dtype", "batch"]
    assert lines[2].split()[:5] == ["mlp", "cpu(0)", "float32", "100", "train"] and lines[3] == ""
    assert re.search(rb"1/2  mlp on cpu\(0\), float32, batch 100, train: [\d,]+ images/s, \d+ s left\r\n", seen)
    assert b"s left]" in seen
    assert b"interrupted: 1 of 2 cells were measured" in seen
    assert len(json.loads((tmp_path / "result.json").read_text())["results"]) == 1


def test_what_is_expected_counts_until_something_is_known():
    pace = Pace()
    assert not pace.is_known
    pace.note("cell", 1.0, 2.0)
    assert pace.is_known
