"""A workload that no change to this project changes: its time tells a slow machine from slow code.

Products of small float32 matrices in NumPy, the same number on each CPU that this process may use. Matrices
are so small that NumPy's BLAS leaves them on the thread that asks: neither OpenMP's settings nor those of
``zoo.runtime`` touch them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from zoo.runtime import cpus

_SIZE, _MATRICES, _REPEATS = 48, 256, 12  # about 20 ms on a CPU of 2023


def seconds(clock: Callable[[], float] = time.perf_counter) -> float:
    """The time that the work takes now."""
    threads, arrays = _prepared()
    start = clock()
    list(threads.map(_work, arrays))
    return clock() - start


@cache
def _prepared() -> tuple[ThreadPoolExecutor, list[tuple[np.ndarray, np.ndarray]]]:
    """Threads that sleep in between, and for each of them matrices and room for their products; warm."""
    matrices = np.random.default_rng(0).random((_MATRICES, _SIZE, _SIZE), np.float32)
    threads = ThreadPoolExecutor(cpus.usable())
    arrays = [(matrices.copy(), np.empty_like(matrices)) for _ in range(cpus.usable())]
    list(threads.map(_work, arrays))
    return threads, arrays


def _work(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    matrices, products = arrays
    for _ in range(_REPEATS):  # NumPy lets go of Python's lock meanwhile
        np.matmul(matrices, matrices, out=products)
