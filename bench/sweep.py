"""A sweep: cells, latencies, profiles and ceilings, one process after another, within a time limit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Union

from bench import kept, tables
from bench.cells import Ceiling, Cell, Latency, Outcome, Profile, Until, highest
from bench.pace import Pace
from bench.results import Run
from bench.sides import runner

CEILINGS = ("auto", "measure", "cached", "skip")
LEFT_OUT = "left out for lack of time"
_START = 3.5  # seconds that a cell takes besides measuring: imports, loading, compiling, the first batches
_OF_CELL = 1.3  # times the seconds of a cell: rounds, single batches, the rest of the warm-up, an epoch
_PROBE, _OF_PROBE = 1.0, 3.0  # seconds to measure a ceiling, and seconds that this takes in total

Result = Union[Outcome, Latency, Profile, "list[Ceiling]"]


@dataclass(frozen=True)
class Plan:
    """What to measure, and how."""

    cells: tuple[Cell, ...]
    latencies: tuple[Cell, ...] = ()
    profiles: Path | None = None  # folder for the traces of all cells; None: no profiles
    data: str | None = None  # the value of --data
    seconds: float = 1.5  # for each cell
    until: Until | None = None
    rate: float | None = None  # requests per second, for the latencies
    ceilings: str = "auto"  # one of CEILINGS
    deadline: float | None = None  # on time.monotonic(): when everything must be done; None: no limit


@dataclass(frozen=True)
class Event:
    """A step starts or has finished."""

    run: Run  # all results so far
    number: int  # of the step, from 1
    total: int  # number of steps
    text: str  # what the step is
    said: str | None  # its result; None: it starts
    left: float  # estimated seconds for everything not done yet


@dataclass(frozen=True)
class _Step:
    kind: str  # steps of a kind miss their expected time by about the same factor
    text: str
    expected: float  # seconds
    work: Callable[..., Result]  # takes at_most


def measured(plan: Plan, environment: dict[str, Any]) -> Iterator[Event]:
    """Carry out ``plan``: cells first, and last the ceilings that are not cached.

    A step that would end after the deadline at the current pace is not started, and a step still running at the
    deadline is stopped; the run's ``left_out`` names both. ``environment`` comes from
    :func:`bench.environment.capture`.
    """
    wanted = _wanted(plan)
    known = kept.load(wanted) if plan.ceilings in ("auto", "cached") else ()
    again = {"auto": kept.missing(wanted, known), "measure": wanted}.get(plan.ceilings, [])
    run, pace = Run(environment, known, ()), Pace()
    steps = [*_steps(plan), *map(_ceiling, again)]
    number = 0
    while number < len(steps):
        step, rest = steps[number], steps[number + 1 :]
        number += 1
        yield Event(run, number, len(steps), step.text, None, _left([step, *rest], pace, plan.deadline))
        result = _result(step, pace, plan.deadline)
        run = _extended(run, step, result, environment["date"])
        if plan.ceilings == "auto" and number == len(steps):  # all done, except for cached ceilings that proved wrong
            steps += map(_ceiling, _too_low(run, again))
            again = wanted
        yield Event(run, number, len(steps), step.text, _said(result), _left(steps[number:], pace, plan.deadline))


def _wanted(plan: Plan) -> list[str]:
    """The ceilings that matter for these cells."""
    dtypes = dict.fromkeys(cell.dtype for cell in plan.cells if "gpu" not in cell.context)
    return [*dtypes, "memory"] if dtypes and plan.ceilings != "skip" else []


def _too_low(run: Run, measured: list[str]) -> list[str]:
    """Cached ceilings that a cell has exceeded."""
    known = {each.of: each.rate for each in run.ceilings if each.rate is not None and each.cached is not None}
    cached = {of: rate for of, rate in known.items() if of not in measured}
    reached = [
        cell.dtype for cell, found in run.measured.items()
        if "gpu" not in cell.context and found.gflops > cached.get(cell.dtype, math.inf)
    ]  # fmt: skip
    return list(dict.fromkeys(reached))


def _steps(plan: Plan) -> list[_Step]:
    """All steps except the ceilings."""
    of_cell = max(_OF_CELL * plan.seconds, plan.until.limit if plan.until else 0)
    cells = [
        _Step("cell", str(cell), _START + of_cell, partial(runner.run, cell, plan.data, plan.seconds, plan.until))
        for cell in plan.cells
    ]
    latencies = [
        _Step("latency", f"latency of {cell}", _START + min(1.0, plan.seconds) + plan.seconds,
              partial(runner.latency, cell, plan.data, plan.seconds, plan.rate))
        for cell in plan.latencies
    ]  # fmt: skip
    profiles = [] if plan.profiles is None else [
        _Step("profile", f"operators of {cell}", _START,
              partial(runner.profile, cell, plan.data, plan.profiles / f"{cell.slug}.json"))
        for cell in plan.cells
    ]  # fmt: skip
    return [*cells, *latencies, *profiles]


def _ceiling(what: str) -> _Step:
    return _Step("ceiling", f"ceiling of {what}", _OF_PROBE, partial(runner.probe, what, _PROBE))


def _left(steps: list[_Step], pace: Pace, deadline: float | None) -> float:
    """Seconds that ``steps`` will take, or seconds until the deadline if that is less."""
    expected = pace.seconds((step.kind, step.expected) for step in steps)
    return expected if deadline is None else max(0.0, min(expected, deadline - time.monotonic()))


def _result(step: _Step, pace: Pace, deadline: float | None) -> Result | None:
    """Run ``step``; None if there is too little time. The first step is tried anyway, as the pace is still unknown."""
    started = time.monotonic()
    at_most = None if deadline is None else deadline - started
    if at_most is not None and (
        at_most <= 0 or (pace.is_known and pace.seconds([(step.kind, step.expected)]) > at_most)
    ):
        return None
    try:
        result = step.work(at_most=at_most)
    except runner.TimeIsUp:
        return None
    pace.note(step.kind, step.expected, time.monotonic() - started)
    return result


def _extended(run: Run, step: _Step, result: Result | None, date: str) -> Run:
    if result is None:
        return replace(run, left_out=(*run.left_out, step.text))
    if isinstance(result, Outcome):
        return replace(run, results=(*run.results, result))
    if isinstance(result, Latency):
        return replace(run, latencies=(*run.latencies, result))
    if isinstance(result, Profile):
        return replace(run, profiles=(*run.profiles, result))
    kept.keep(result, date)
    return replace(run, ceilings=highest((*run.ceilings, *result)))


def _said(result: Result | None) -> str:
    if result is None:
        return LEFT_OUT
    if isinstance(result, list):
        return ", ".join(tables.rate(each) if each.rate is not None else f"not known ({each.how})" for each in result)
    if result.error is not None:
        return f"failed: {result.error}"
    if isinstance(result, Outcome):
        assert result.measurement is not None  # as there is no error
        return f"{result.measurement.images_per_second:,.0f} images/s"
    if isinstance(result, Latency):
        return f"{result.milliseconds(50):,.2f} ms in the median"
    return f"{len(result.operators)} operators"
