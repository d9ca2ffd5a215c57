"""How many OpenMP threads MXNet's worker uses for a network: small ones are done before a second thread has woken up.

With as many threads as there are CPUs, the main thread, which prepares the next batches, competes with them for a
CPU, and all wait for the one that lost.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

from zoo.graph import layers
from zoo.runtime import STATUS, mx

_WORTH_A_THREAD = 200e6  # FLOPs of a batch
_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


def size(net: mx.gluon.HybridBlock, images: int, passes: int) -> int:
    """Threads for a batch of ``images``, of which a training step costs three ``passes``: all but for small ones."""
    flops = sum(layer.flops for layer in layers(net)) * images * passes
    return int(min(STATUS.threads, max(1, flops // _WORTH_A_THREAD)))


def gather(threads: int, contexts: Sequence[mx.Context]) -> None:
    """Have the CPU workers of ``contexts`` use that many threads for oneDNN's operators and ours, from now on."""
    for context in contexts:
        if context.device_type == "cpu" and _told.get(context.device_id) != threads:
            _told[context.device_id] = threads
            function = _function(threads)
            mx.base.check_call(
                mx.base._LIB.MXEnginePushSync(
                    function, None, None, ctypes.byref(_Context(1, context.device_id)), None, 0, None, 0, None, 0, None
                )
            )


class _Context(ctypes.Structure):
    """``mxnet::Context``: device type (1 is the CPU) and number."""

    _fields_ = [("type", ctypes.c_int), ("number", ctypes.c_int32)]


_told: dict[int, int] = {}  # what each CPU context's worker was last told


@cache
def _function(threads: int):
    """Kept, because the engine calls it later."""
    openmp = ctypes.CDLL("libgomp.so.1")  # the one that MXNet has loaded
    return _FUNCTION(lambda *_: openmp.omp_set_num_threads(threads))
