"""What all benchmarks share: data, what is recorded beside the times, and comparisons with runs that were saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import zoo
from bench import environment

_OF_ITS_RUN = ("date", "load_average", "revision")  # other in every run, and no other machine for that


@pytest.fixture(scope="session")
def mnist() -> zoo.MNIST:
    return zoo.load_mnist()


@pytest.fixture
def record(benchmark) -> Callable[..., None]:
    """Put facts into ``extra_info``, and images/s if each round was that many ``images``."""

    def add(images: int | None = None, **facts: object) -> None:
        benchmark.extra_info.update(facts)
        if images is not None and benchmark.stats is not None:  # None with --benchmark-disable
            benchmark.extra_info["images_per_second"] = images / benchmark.stats.stats.median

    return add


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say before hours of work what pytest-benchmark finds out after it, and let a first run be one."""
    options, benchmarks = session.config.option, session.config.pluginmanager.getplugin("pytest-benchmark")
    if benchmarks is None or not options.benchmark_compare_fail or benchmarks.compared_mapping:
        return
    if not options.benchmark_compare:
        raise pytest.UsageError("--benchmark-compare-fail needs --benchmark-compare, which says what to compare with")
    if options.benchmark_compare is not True:
        raise pytest.UsageError(f"no saved run is called {options.benchmark_compare} in {benchmarks.storage}")
    benchmarks.compare_fail = None  # the first run on this machine: there is nothing yet that it could fall behind


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    captured = environment.capture()
    machine_info["environment"] = {name: fact for name, fact in captured.items() if name not in _OF_ITS_RUN}


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(benchmarksession, machine_info: dict, compared_benchmark: dict) -> None:
    """Say in a sentence what differs."""
    saved, now = (info.get("environment", {}) for info in (compared_benchmark["machine_info"], machine_info))
    changes = [_change(name, saved.get(name), fact) for name, fact in now.items() if saved.get(name) != fact]
    if changes:
        benchmarksession.logger.warning(f"The saved run had another environment: {', '.join(changes)}")
    # pytest-benchmark compares these next, clock rates of this moment included, and would print them both in full.
    compared_benchmark["machine_info"] = machine_info


def _change(name: str, then: object, now: object) -> str:
    return name if isinstance(now, (dict, list)) else f"{name} was {then} and is {now}"
