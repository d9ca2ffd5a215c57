"""Measured upper bounds of this machine, which cells are reported as shares of.

The peak of a dtype is what the arithmetic units reach in a loop that touches no memory (``zoo/kernels/peak.h``): no
matrix product or convolution can be faster. Without the kernels, the fastest matrix product stands in for it.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import psutil

from bench.cells import ARITHMETIC, MEMORY, ON_CPUS, Ceiling
from bench.contention import Others
from zoo import kernels
from zoo.runtime import STATUS, isa, mx

PROBES = (*ON_CPUS, "memory")
_WITHOUT_AMX = {"float32": "float32", "bfloat16": "bfloat16_vectors"}  # functions of zoo/kernels/peak.h
_BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # as MXNet writes it
_PIECES, _REST = 16, 0.02  # pieces of a measurement, and seconds of rest before each
_SIZES = (512, 1024, 2048)  # rows of the square matrices
_BYTES = 512 * 2**20  # per array: several times the size of the caches


def probe(what: str, seconds: float) -> list[Ceiling]:
    """Measure one of :data:`PROBES` for about ``seconds``, on as many threads as cells use, and keep the best rate."""
    others = Others(os.getpid())
    found = _probe(what, seconds)
    share = round(others.share(), 3)
    return [replace(each, others=share) for each in found]


def _probe(what: str, seconds: float) -> list[Ceiling]:
    if what == "memory":
        return _memory(seconds)
    arithmetic = _arithmetic(what)
    if arithmetic is not None:
        return [Ceiling(what, max(_rested(arithmetic, seconds / _PIECES) for _ in range(_PIECES)), ARITHMETIC)]
    products = list(_products(what))
    if not products:
        return [Ceiling(what, None, "no unit of this processor that could be measured")]
    rates = {how: operations / _fastest(run, seconds / len(products)) / 1e9 for how, operations, run in products}
    how = max(rates, key=rates.__getitem__)
    return [Ceiling(what, rates[how], how)]


def _rested(measure: Callable[[float], float], seconds: float) -> float:
    """Call ``measure(seconds)`` after a sleep: Linux may leave two threads that never sleep on the same CPU."""
    time.sleep(_REST)
    return measure(seconds)


def _arithmetic(dtype: str) -> Callable[[float], float] | None:
    """Return the kernels' function that measures GFLOP/s for some seconds; None if it is missing or must not run."""
    found = kernels.available()
    if not found.usable:
        return None
    name = dtype if found.convolution else _WITHOUT_AMX.get(dtype)
    function = getattr(found.library, f"zoo_peak_{name}", None)
    if function is not None:
        function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
    return function


def _products(dtype: str) -> Iterator[tuple[str, float, Callable[[], object]]]:
    """Yield matrix products: a description, the number of operations, and the function to call."""
    if dtype == "int8" or (dtype == "bfloat16" and "avx512_bf16" not in isa.flags()):
        return
    for size in _SIZES:
        a, b = mx.nd.random.uniform(shape=(2, size, size))
        if dtype == "float32":
            yield f"NumPy's product of {size} x {size}", 2 * size**3, _numpy_product(a.asnumpy(), b.asnumpy())
        if dtype == "bfloat16":  # which NumPy does not know by name
            a, b = (mx.nd.amp_cast(each, dtype=_BFLOAT16) for each in (a, b))
        yield f"MXNet's product of {size} x {size}", 2 * size**3, _mxnet_product(a, b)


def _numpy_product(a: np.ndarray, b: np.ndarray) -> Callable[[], object]:
    result = np.empty_like(a)
    return lambda: np.dot(a, b, out=result)


def _mxnet_product(a: mx.nd.NDArray, b: mx.nd.NDArray) -> Callable[[], object]:
    return lambda: mx.nd.FullyConnected(a, b, num_hidden=len(b), no_bias=True).wait_to_read()


def _memory(seconds: float) -> list[Ceiling]:
    """Measure memory bandwidth in GB/s: reading, and copying (where bytes read and bytes written both count)."""
    size = min(_BYTES, psutil.virtual_memory().available // 8) // 4
    source, target = np.ones(size, np.float32), np.zeros(size, np.float32)
    sources, targets = (np.array_split(array, STATUS.threads) for array in (source, target))
    with ThreadPoolExecutor(STATUS.threads) as threads:  # NumPy releases the GIL meanwhile
        read = _fastest(lambda: list(threads.map(np.max, sources)), seconds / 2)
        copied = _fastest(lambda: list(threads.map(np.copyto, targets, sources)), seconds / 2)
    rates = (source.nbytes / read / 1e9, 2 * source.nbytes / copied / 1e9)
    return [Ceiling(of, rate, f"{source.nbytes >> 20} MiB in memory") for of, rate in zip(MEMORY, rates)]


def _fastest(run: Callable[[], object], seconds: float) -> float:
    """Return the seconds of the fastest of at least three calls, after one to warm up."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
