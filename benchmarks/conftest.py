"""What all benchmarks share: data, facts recorded beside the times, and comparisons with saved runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import zoo
from bench import environment
from benchmarks import rounds

FACTORS: pytest.StashKey[list[float | None]] = pytest.StashKey()  # of saved benchmarks, from rounds.slow_down
_OF_ITS_RUN = ("date", "load_average", "revision")  # they differ between runs on the same machine, too


@pytest.fixture(scope="session")
def mnist() -> zoo.MNIST:
    return zoo.load_mnist()


@pytest.fixture
def measure(benchmark, request: pytest.FixtureRequest) -> Callable[..., object]:
    """Call :func:`benchmarks.rounds.run` for this test, and scale saved runs to the machine's current speed."""

    def run(target: Callable, *args: object, **options: object) -> object:
        session = _session(request.config)
        done = rounds.run(benchmark, session.options["timer"].target, target, args, **options)
        if benchmark.stats is not None:  # None with --benchmark-disable
            saved = [
                each[benchmark.fullname] for each in session.compared_mapping.values() if benchmark.fullname in each
            ]
            now, factors = benchmark.extra_info["reference_seconds"], request.config.stash.setdefault(FACTORS, [])
            factors.extend(rounds.slow_down(each, now) for each in saved)
        return done

    return run


@pytest.fixture
def record(benchmark) -> Callable[..., None]:
    """Put facts into ``extra_info``, and images/s if each round processed ``images`` of them."""

    def add(images: int | None = None, **facts: object) -> None:
        benchmark.extra_info.update(facts)
        if images is not None and benchmark.stats is not None:  # None with --benchmark-disable
            benchmark.extra_info["images_per_second"] = images / benchmark.stats.stats.median

    return add


def pytest_sessionstart(session: pytest.Session) -> None:
    """Report before hours of work what pytest-benchmark notices only afterwards, and allow a first run."""
    options, benchmarks = session.config.option, _session(session.config)
    if benchmarks is None or not options.benchmark_compare_fail or benchmarks.compared_mapping:
        return
    if not options.benchmark_compare:
        raise pytest.UsageError("--benchmark-compare-fail needs --benchmark-compare, which says what to compare with")
    if options.benchmark_compare is not True:
        raise pytest.UsageError(f"no saved run is called {options.benchmark_compare} in {benchmarks.storage}")
    benchmarks.compare_fail = None  # the first run on this machine: there is nothing to fall behind yet


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Explain the saved run's times before pytest-benchmark shows them."""
    factors = terminalreporter.config.stash.get(FACTORS, [])
    known = sorted(each for each in factors if each is not None)
    if known:
        terminalreporter.write_line(
            f"\nThe saved run's times are shown as they would be at the machine's current speed, {known[0]:.2f} to "
            f"{known[-1]:.2f} times as long, by a reference workload that both runs timed before every round."
        )
    if len(known) < len(factors):
        terminalreporter.write_line(f"\n{len(factors) - len(known)} times are shown as saved: without that workload.")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info["node"] = ""  # the host's name, which files tell nobody
    captured = environment.capture()
    machine_info["environment"] = {name: fact for name, fact in captured.items() if name not in _OF_ITS_RUN}


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_compare_machine_info(benchmarksession, machine_info: dict, compared_benchmark: dict) -> None:
    """Say in a sentence what differs."""
    saved, now = (info.get("environment", {}) for info in (compared_benchmark["machine_info"], machine_info))
    changes = [_change(name, saved.get(name), fact) for name, fact in now.items() if saved.get(name) != fact]
    if changes:
        benchmarksession.logger.warning(f"The saved run had another environment: {', '.join(changes)}")
    # pytest-benchmark compares these next, including current clock rates, and would print both in full.
    compared_benchmark["machine_info"] = machine_info


def _change(name: str, then: object, now: object) -> str:
    return name if isinstance(now, (dict, list)) else f"{name} was {then} and is {now}"


def _session(config: pytest.Config):
    """Return pytest-benchmark's own session."""
    return config.pluginmanager.getplugin("pytest-benchmark")
