"""Whether a side had the CPUs to itself.

Threads that share a CPU with another program wait for each other, in some libraries far longer than in others: ratios
measured on a busy machine can be wrong by an order of magnitude in either direction.
"""

from __future__ import annotations

import os
import time

import psutil

from zoo.runtime import cpus

BUSY = 0.1  # share of the usable CPUs; a verdict says so if other programs take more


class Others:
    """Counts, from its creation on, the CPU time that programs other than ``pids`` take from those processes."""

    def __init__(self, *pids: int) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._since = self._now()

    def share(self) -> float:
        """Return the average share of this process's usable CPUs that others must have used, 0 to 1."""
        seconds, busy, own = (now - then for now, then in zip(self._now(), self._since))
        elsewhere = (os.cpu_count() or 1) - cpus.usable()  # CPUs on which others disturb nobody
        taken = (busy - own) / seconds - elsewhere
        return min(1.0, max(0.0, taken / cpus.usable()))

    def _now(self) -> tuple[float, float, float]:
        """Return wall-clock time, CPU time of the whole machine, and CPU time of the processes, in seconds."""
        everyone, own = psutil.cpu_times(), [process.cpu_times() for process in self._processes]
        idle = everyone.idle + getattr(everyone, "iowait", 0.0)
        guests = getattr(everyone, "guest", 0.0) + getattr(everyone, "guest_nice", 0.0)  # already part of user and nice
        return time.perf_counter(), sum(everyone) - idle - guests, sum(each.user + each.system for each in own)
