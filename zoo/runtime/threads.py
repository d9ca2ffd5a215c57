"""The number of OpenMP threads that MXNet starts: one per CPU of this process, or what the user chose.

MXNet and oneDNN split their work by the number of threads that they request. If OpenMP delivers fewer, parts of the
work are not done: results are silently wrong, or the process hangs. So OpenMP must deliver all of them.
"""

from __future__ import annotations

import os
import re
import warnings

from zoo.runtime import cpus

_MOST = 1024  # a larger number is a mistake


def choose(too_late: bool) -> tuple[int, str]:
    """Set ``OMP_NUM_THREADS`` for MXNet; returns the number of threads and the reason for it.

    ``too_late`` means that MXNet's library is already loaded, and with it the variable read.
    """
    if too_late:
        return _as_it_is()
    threads, reason = _asked() or (cpus.usable(), "the CPUs this process may use")
    limit = _number("OMP_THREAD_LIMIT")
    if limit is not None and limit < threads:
        threads, reason = limit, "OMP_THREAD_LIMIT"
    if os.environ.get("OMP_MAX_ACTIVE_LEVELS", "").strip() == "0":
        threads, reason = 1, "OMP_MAX_ACTIVE_LEVELS=0"
    os.environ["OMP_NUM_THREADS"] = str(threads)  # a plain number: MXNet aborts on the lists that OpenMP allows
    os.environ["OMP_DYNAMIC"] = "false"  # otherwise OpenMP may deliver fewer
    return threads, reason


def _asked() -> tuple[int, str] | None:
    if not os.environ.get("OMP_NUM_THREADS", "").strip():
        return None
    number = _number("OMP_NUM_THREADS")
    if number is not None:
        return number, "OMP_NUM_THREADS, as it was set"
    given = os.environ["OMP_NUM_THREADS"]
    warnings.warn(f"OMP_NUM_THREADS={given} is not a number of threads and is ignored", RuntimeWarning, stacklevel=4)
    return None


def _number(variable: str) -> int | None:
    """The number in an environment variable, the first one of a list; None unless it is from 1 to 1024."""
    first = os.environ.get(variable, "").split(",")[0].strip()
    return int(first) if re.fullmatch("[0-9]{1,4}", first) and 1 <= int(first) <= _MOST else None


def _as_it_is() -> tuple[int, str]:
    number = _number("OMP_NUM_THREADS")
    if number is not None:
        return number, "OMP_NUM_THREADS, as it was set"
    warnings.warn(
        "mxnet was imported before zoo, so its number of threads can no longer be set; import zoo first, "
        f"or set OMP_NUM_THREADS={cpus.usable()}, for up to twice the speed",
        RuntimeWarning,
        stacklevel=4,
    )
    return max(1, (os.cpu_count() or 1) // 2), "MXNet's own default: it was imported before zoo"
