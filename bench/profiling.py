"""The operators of a cell's rounds, from MXNet's profiler."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from bench.cells import Cell, Operator, Profile
from bench.measure import ROUND_SECONDS, Workload
from zoo.data import Dataset
from zoo.io import temporary
from zoo.runtime import mx

_MOST_BATCHES = 100  # limit for small batches, so that the trace stays small too


def profile(cell: Cell, dataset: Dataset) -> tuple[Profile, dict[str, Any]]:
    """Return the profile of ``cell``, and its trace as a JSON object in Chrome's format.

    Call this in a process that measures nothing else, as the profiler slows the whole process down.
    """
    workload = Workload(cell, dataset)
    workload.run(1)  # compiles and allocates
    batches = max(1, min(_MOST_BATCHES, int(ROUND_SECONDS / workload.run(1).seconds)))
    workload.run(batches)
    with temporary.folder() as folder:
        file = folder / "trace.json"
        mx.profiler.set_config(
            filename=str(file),
            profile_memory=False,
            profile_api=False,
            continuous_dump=False,  # True would rewrite the file again and again, from a separate thread
            aggregate_stats=True,  # only so that operators outside of graphs are not run in bulk either
        )
        mx.profiler.set_state("run")
        done = workload.run(batches)
        mx.profiler.set_state("stop")
        mx.profiler.dump()
        events = json.loads(file.read_text())["traceEvents"]
    calls = _calls(events)
    return Profile(cell, _operators(calls), batches, done.seconds), _trace(calls, events)


def _calls(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Convert to Chrome's complete events, from time 0: MXNet writes begins and ends, and both of them twice."""
    begins = [event for event in events if event["ph"] == "B"]
    ends = [event for event in events if event["ph"] == "E"]
    start = min((begin["ts"] for begin in begins), default=0)
    threads = {thread: number for number, thread in enumerate(dict.fromkeys(begin["tid"] for begin in begins))}
    return [
        {
            "name": begin["name"],
            "cat": "operator",
            "ph": "X",
            "ts": begin["ts"] - start,
            "dur": end["ts"] - begin["ts"],
            "pid": begin["pid"],
            "tid": threads[begin["tid"]],
        }
        for begin, end in zip(begins, ends)
    ]


def _operators(calls: list[dict[str, Any]]) -> tuple[Operator, ...]:
    microseconds: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        microseconds[call["name"]].append(call["dur"])
    found = [Operator(name, len(times), sum(times) / 1e6) for name, times in microseconds.items()]
    return tuple(sorted(found, key=lambda operator: operator.seconds, reverse=True))


def _trace(calls: list[dict[str, Any]], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return ``calls`` with the names of the devices that they ran on."""
    used = {call["pid"] for call in calls}
    devices = [event for event in events if event["ph"] == "M" and event["pid"] in used]
    return {"traceEvents": [*devices, *calls], "displayTimeUnit": "ms"}
