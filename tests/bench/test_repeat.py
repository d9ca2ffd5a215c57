"""``python -m bench --repeat-until``: rounds go on until their median is known well enough, or time is up."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from bench import tables
from bench.cells import Cell, Measurement, Outcome, Round, Until, interval
from bench.measure import measure

CELL = Cell("mlp", "cpu(0)", "float32", 50, "infer")


def rounds(*speeds: float) -> tuple[Round, ...]:
    return tuple(Round(1000, 1000 / speed) for speed in speeds)


@pytest.mark.parametrize(
    "speeds, low, high",  # the ranks are those of every table for the sign test
    [
        ((80, 90, 100, 110, 120), 80, 120),
        ((70, 80, 90, 110, 120, 130), 70, 130),
        ((10, 70, 80, 90, 100, 110, 120, 130, 500), 70, 130),
        (tuple(range(81, 106)), 88, 98),  # the 8th and the 18th of 25
    ],
)
def test_the_interval_of_the_median(speeds: tuple, low: float, high: float):
    shuffled = np.random.default_rng(0).permutation(speeds)
    assert interval(rounds(*shuffled)) == pytest.approx((high - low) / np.median(speeds))


@pytest.fixture(scope="module")
def data() -> zoo.Dataset:
    return zoo.synthetic(train=2000, test=1).train


def test_rounds_go_on_until_the_interval_is_narrow(data):
    result = measure(CELL, data, seconds=0.1, until=Until(1.0, 60.0))
    assert len(result.rounds) >= 6 and result.interval <= result.wanted == 1.0


def test_rounds_end_when_time_is_up(data):
    result = measure(CELL, data, seconds=0.1, until=Until(1e-9, 3.0))
    assert result.interval > result.wanted
    assert sum(each.seconds for each in result.rounds[:-1]) < 3.0 or len(result.rounds) == 5


def test_the_table_shows_the_interval_where_it_was_asked_for():
    def shown(wanted: float | None, style: str = "simple") -> str:
        samples = rounds(90, 95, 100, 100, 105, 110)
        result = Measurement(samples, (0.05,) * 30, None, 60_000, 99.0, 10**7, 3, True, "here", (), wanted)
        found = dict.fromkeys(("processor", "threads", "cpus_usable", "mxnet", "python", "numpy", "date", "revision"))
        return tables.render([Outcome(CELL, result)], (), {**found, "gpus": []}, style)

    assert "interval" not in shown(None) and "interval" not in shown(None, "csv")
    assert "20.0% " in shown(0.25) and "!" not in shown(0.25)
    assert "20.0%!" in shown(0.1) and "the time limit came before" in shown(0.1)
    header, row = (line.split(",") for line in shown(0.1, "csv").splitlines())
    assert float(row[header.index("95% interval")]) == pytest.approx(0.2)
