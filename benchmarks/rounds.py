"""Rounds with the reference workload before each, and saved runs scaled to the machine's current speed.

Shared machines change their speed by a factor of two within minutes. The time of a round relative to a workload that no
change to this project affects, timed just before it, varies less.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from bench import reference

SECONDS = 2.0  # for rounds: the speed changes for parts of a second at a time, and the median must cover both
FEWEST, MOST = 7, 100  # rounds
REFERENCE_SHARE = 0.2  # of a round's time, for the reference workload before it, which runs at least once
_TIMES = ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ld15iqr", "hd15iqr", "total")


def run(
    benchmark: BenchmarkFixture,
    clock: Callable[[], float],
    target: Callable,
    args: tuple = (),
    setup: Callable[[], None] = lambda: None,
    warmup_rounds: int = 1,
    fewest: int = FEWEST,
) -> object:
    """Run rounds of ``target`` for about :data:`SECONDS`, each after a ``setup``, and return what it returns.

    ``extra_info`` gets ``reference_seconds``, a time of the reference workload by ``clock``: the median of the rounds'
    seconds divided by it is the median of their seconds relative to the workload before each.
    """
    if benchmark.disabled:
        return benchmark.pedantic(target, args=args, setup=setup)
    took, work = _warm_up(target, args, setup, warmup_rounds), reference.seconds()
    repeats = max(1, round(REFERENCE_SHARE * took / work))
    references: list[float] = []

    def prepare() -> None:
        setup()
        references.append(float(np.mean([reference.seconds(clock) for _ in range(repeats)])))

    rounds = int(np.clip(SECONDS / (took + repeats * work), fewest, MOST))
    done = benchmark.pedantic(target, args=args, setup=prepare, rounds=rounds)
    seconds = np.array(benchmark.stats.stats.data)
    benchmark.extra_info["reference_seconds"] = float(np.median(seconds) / np.median(seconds / references))
    return done


def slow_down(saved: dict, reference_seconds: float) -> float | None:
    """Scale a saved benchmark's times to a machine on which the reference workload takes ``reference_seconds``.

    Returns the factor, or None for a benchmark that was saved without that workload.
    """
    before = saved["extra_info"].get("reference_seconds")
    if before is None:
        return None
    factor, stats = reference_seconds / before, saved["stats"]
    stats.update({name: stats[name] * factor for name in _TIMES}, ops=stats["ops"] / factor)
    return factor


def _warm_up(target: Callable, args: tuple, setup: Callable[[], None], rounds: int) -> float:
    """Return the seconds that the last of these rounds took; :data:`SECONDS` if there is none."""
    took = SECONDS
    for _ in range(rounds):
        setup()
        start = time.perf_counter()
        target(*args)
        took = time.perf_counter() - start
    return took
