"""How long single images wait for their logits while requests arrive at a steady rate.

Requests arrive on schedule, whether or not earlier ones are answered, and their latency counts from that moment. If
each waited for the previous answer, a slow answer would delay later arrivals and hide the queue behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.cells import Cell, Latency
from bench.measure import Workload
from zoo.data import Dataset

_MOST_REQUESTS = 100_000
_SPIN = 0.001  # seconds before an arrival, in which sleeping is too inexact


def measure(cell: Cell, dataset: Dataset, seconds: float, rate: float | None) -> Latency:
    """Send requests for about ``seconds``, ``rate`` per second, or half of what is possible if that is None."""
    workload = Workload(cell, dataset)
    workload.run(1)  # compiles and allocates
    capacity = _capacity(lambda: workload.run(1), min(1.0, seconds))
    rate = capacity / 2 if rate is None else rate
    waits, answered, elapsed = send(lambda: workload.run(1), rate, seconds)
    return Latency(cell, rate, capacity, tuple(waits), len(waits) - answered, elapsed, dataset.source)


def send(answer: Callable[[], object], rate: float, seconds: float) -> tuple[list[float], int, float]:
    """Call ``answer`` for each request of ``seconds``; give up if the queue is not empty after twice that time.

    Returns the seconds that each request waited from its arrival, how many were answered, and the seconds from the
    first arrival to the last answer. Unanswered requests count as waiting to the end.
    """
    count = min(_MOST_REQUESTS, max(1, int(rate * seconds)))
    start = time.perf_counter() + 2 * _SPIN
    arrivals, waits, now = [start + number / rate for number in range(count)], [], start
    for arrival in arrivals:
        if now > start + 2 * seconds:
            break
        _sleep_until(arrival)
        answer()
        now = time.perf_counter()
        waits.append(now - arrival)
    answered = len(waits)
    return [*waits, *(now - arrival for arrival in arrivals[answered:])], answered, now - start


def _capacity(answer: Callable[[], object], seconds: float) -> float:
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        answer()
        count += 1
    return count / (time.perf_counter() - start)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - _SPIN - time.perf_counter()))
    while time.perf_counter() < moment:
        pass
