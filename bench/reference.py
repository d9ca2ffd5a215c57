"""A workload that no change to this project affects: its time tells a slow machine from slow code.

It multiplies small float32 matrices in NumPy, the same number on each CPU that this process may use. The matrices are
so small that NumPy's BLAS keeps them on the calling thread: neither OpenMP's settings nor those of ``zoo.runtime``
affect them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from zoo.runtime import cpus

_SIZE, _MATRICES, _REPEATS = 48, 256, 12  # about 20 ms on a 2023 CPU


def seconds(clock: Callable[[], float] = time.perf_counter) -> float:
    """Run the workload and return the time that it took."""
    threads, arrays = _prepared()
    start = clock()
    list(threads.map(_work, arrays))
    return clock() - start


@cache
def _prepared() -> tuple[ThreadPoolExecutor, list[tuple[np.ndarray, np.ndarray]]]:
    """Create threads that sleep between calls, each with its matrices and room for their products, and warm them up."""
    matrices = np.random.default_rng(0).random((_MATRICES, _SIZE, _SIZE), np.float32)
    threads = ThreadPoolExecutor(cpus.usable())
    arrays = [(matrices.copy(), np.empty_like(matrices)) for _ in range(cpus.usable())]
    list(threads.map(_work, arrays))
    return threads, arrays


def _work(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    matrices, products = arrays
    for _ in range(_REPEATS):  # NumPy releases the GIL meanwhile
        np.matmul(matrices, matrices, out=products)
