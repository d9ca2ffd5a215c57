"""``python -m bench --latency``: requests arrive on schedule, and wait while others are served."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import assert_refused

from bench import details, latency, results
from bench.cells import Cell, Latency
from bench.sides import runner

CELL = Cell("mlp", "cpu(0)", "float32", 1, "infer")


@pytest.fixture
def clock(monkeypatch) -> Clock:
    monkeypatch.setattr(latency, "time", Clock())
    return latency.time


class Clock:
    """A clock that advances by every sleep, and by a microsecond whenever it is read."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_slow_answer_makes_those_behind_it_wait(clock):
    durations = iter([0.2])
    waits, answered, elapsed = latency.send(lambda: clock.sleep(next(durations, 0)), rate=100, seconds=0.5)
    assert len(waits) == answered == 50 and elapsed == pytest.approx(0.49, abs=1e-3)
    for number, wait in enumerate(waits):  # from their own arrivals, although they are served only after the first
        assert wait == pytest.approx(max(0.2 - number / 100, 0), abs=1e-3)


def test_arrivals_keep_their_schedule(clock):
    moments: list[float] = []
    _, answered, elapsed = latency.send(lambda: moments.append(clock.now), rate=50, seconds=0.2)
    assert answered == len(moments) == 10 and elapsed == pytest.approx(9 / 50, abs=1e-3)
    assert [moment - moments[0] for moment in moments] == pytest.approx([n / 50 for n in range(10)], abs=1e-3)


def test_more_requests_than_can_be_answered_are_given_up_and_said(clock):
    waits, answered, elapsed = latency.send(lambda: clock.sleep(0.02), rate=1000, seconds=0.1)
    assert len(waits) == 100 and answered == 10 and elapsed == pytest.approx(0.2, abs=1e-3)
    assert waits[9] == pytest.approx(0.2 - 0.009, abs=1e-3) and waits[-1] == pytest.approx(0.2 - 0.099, abs=1e-3)
    found = Latency(CELL, 1000.0, 50.0, tuple(waits), 100 - answered, elapsed, "test")
    assert found.achieved == pytest.approx(50, rel=0.01) and not found.kept_up
    text = details.render([found], [], "simple")
    assert "!" in text.splitlines()[2] and "more requests than could be answered" in text


def test_percentiles():
    found = Latency(CELL, 10.0, 20.0, tuple(number / 1000 for number in range(1, 102)), 0, 10.0, "test")
    assert [found.milliseconds(percentile) for percentile in (0, 50, 90, 100)] == pytest.approx([1, 51, 91, 101])
    assert found.achieved == pytest.approx(10.0) and found.kept_up
    row = details.render([found], [], "tsv").splitlines()[1].split("\t")
    assert [each.strip() for each in row] == [
        "mlp", "cpu(0)", "float32", "10.0", "10.0", "51.00", "91.00", "100.00", "101.00", "101",
    ]  # fmt: skip


def test_the_rate_is_half_of_what_is_possible_unless_it_is_given():
    found = runner.latency(CELL, "synthetic", 0.3, None)
    assert found.error is None and found.rate == found.capacity / 2 > 0
    failed = runner.latency(Cell("nosuch", "cpu(0)", "float32", 1, "infer"), "synthetic", 0.3, 10.0)
    assert "there is no model 'nosuch'" in failed.error and failed.error in details.render([failed], [], "simple")


def test_the_command_shows_and_keeps_everything_that_was_asked_for(run, tmp_path: Path):
    done = run(
        "bench", "--models", "mlp", "--contexts", "cpu", "--dtypes", "float32", "--batch-sizes", "100", "--phases",
        "infer", "--seconds", "0.2", "--data", "synthetic", "--latency", "--rate", "20", "--repeat-until", "0.001%",
        "--repeat-limit", "0.3", "--profile", tmp_path / "traces", "--json", tmp_path / "result.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    saved = results.load(tmp_path / "result.json")
    (served,), (profile,), (measurement,) = saved.latencies, saved.profiles, saved.measured.values()
    assert served.cell == CELL and served.rate == 20 and len(served.seconds) == 4
    (trace,) = (tmp_path / "traces").iterdir()
    assert profile.trace == f".../{trace.name}" and str(trace) in done.stdout
    assert measurement.wanted == 0.00001 < measurement.interval
    for words in ("95% interval", "the time limit came before", "offered/s", "operators of mlp", "FLOP/s float32"):
        assert words in done.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--rate", "10"], ["--rate needs --latency"]),
        (["--latency", "--rate", "0"], ["--rate must be above 0 and at most 100,000"]),
        (["--latency", "--contexts", "cpu(0),cpu(1)", "--batch-sizes", "32"], ["cannot be shared", "cpu(0),cpu(1)"]),
        (["--repeat-until", "2"], ["such as 2%, not '2'"]),
        (["--repeat-until", "nan%"], ["not 'nan%'"]),
        (["--repeat-until", "2%", "--repeat-limit", "0"], ["--repeat-limit must be above 0"]),
        (["--profile", "/dev/null/x"], ["cannot write into /dev/null"]),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_measured(run_here, arguments: list, words: list):
    assert_refused(run_here("bench", *arguments), *words)
