"""Runs a cell or measures a ceiling in a fresh process, and survives whatever happens to it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.cells import Ceiling, Cell, Latency, Measurement, Outcome, Profile, Until
from bench.sides.wire import NoAnswer, Side, SideFailed
from zoo.errors import ZooError
from zoo.io import files
from zoo.io.schema import build

_LIMIT = 300  # seconds for one process, beyond the time it is given to measure
# MXNet runs the operators of a graph in bulk, and its profiler shows a bulk as a single operator.
_UNBULKED = {"MXNET_EXEC_BULK_EXEC_TRAIN": "0", "MXNET_EXEC_BULK_EXEC_INFERENCE": "0"}


class TimeIsUp(Exception):
    """A process was killed because its work took more than the ``at_most`` seconds that its caller gave it."""


def run(
    cell: Cell, data: str | None, seconds: float, until: Until | None = None, at_most: float | None = None
) -> Outcome:
    """Measure ``cell`` for about ``seconds``, or ``until``; if that fails, the outcome holds the reason.

    Raises :class:`TimeIsUp` if this takes more than ``at_most`` seconds, the start of the process included. So do the
    functions below.
    """
    request = {"cell": asdict(cell), "data": data, "seconds": seconds, "until": until and asdict(until)}
    answer = _ask(request, _LIMIT + 10 * seconds + (until.limit if until else 0), at_most)
    if "error" in answer:
        return Outcome(cell, error=answer["error"])
    return Outcome(cell, Measurement.from_json(answer["measurement"]))


def profile(cell: Cell, data: str | None, trace: Path, at_most: float | None = None) -> Profile:
    """Profile the operators of ``cell``, every call in the file ``trace``; on failure, the result holds the reason."""
    answer = _ask({"profile": asdict(cell), "data": data}, _LIMIT, at_most, _UNBULKED)
    if "error" in answer:
        return Profile(cell, error=answer["error"])
    try:
        files.write_text(trace, json.dumps(answer["trace"]) + "\n")
    except ZooError as error:
        return Profile(cell, error=str(error))
    return replace(build(Profile, answer["profile"]), trace=str(trace))


def latency(cell: Cell, data: str | None, seconds: float, rate: float | None, at_most: float | None = None) -> Latency:
    """Measure the latencies of ``cell`` at ``rate`` requests per second; on failure, the result holds the reason."""
    request = {"latency": asdict(cell), "data": data, "seconds": seconds, "rate": rate}
    answer = _ask(request, _LIMIT + 10 * seconds, at_most)
    if "error" in answer:
        return Latency(cell, error=answer["error"])
    return build(Latency, answer["latency"])


def probe(what: str, seconds: float, at_most: float | None = None) -> list[Ceiling]:
    """Measure one of :data:`bench.ceilings.PROBES` for about ``seconds``; on failure, the result holds the reason."""
    answer = _ask({"probe": what, "seconds": seconds}, _LIMIT + 10 * seconds, at_most)
    if "error" in answer:
        return [Ceiling(what, None, answer["error"])]
    return [Ceiling(**each) for each in answer["ceilings"]]


def _ask(
    request: dict[str, Any], limit: float, at_most: float | None = None, settings: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the worker's answer within ``limit`` seconds; if there is none, the key "error" holds the reason."""
    seconds = limit if at_most is None else min(limit, at_most)
    try:
        with Side("bench.sides.worker", request, {**os.environ, **(settings or {})}, seconds) as side:
            return side.answer()
    except NoAnswer:
        if at_most is not None and at_most <= limit:
            raise TimeIsUp from None
        return {"error": f"not done after {limit:.0f} s"}
    except SideFailed as failure:
        return {"error": str(failure)}
    except OSError as error:
        return {"error": f"could not be started: {error.strerror or error} {error.filename or ''}".strip()}
