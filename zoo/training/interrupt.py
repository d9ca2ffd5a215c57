"""Handle Ctrl-C as a request that is honoured between batches, where MXNet can be left cleanly."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """While entered, the first Ctrl-C (SIGTERM, SIGHUP) sets ``requested`` instead of raising; the second one raises.

    An exception raised inside one of MXNet's callbacks is swallowed or turned into another; a flag is not.
    Signals reach the main thread only; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._request) for number in _SIGNALS}
        return self

    def _request(self, *_: object) -> None:
        self.requested = True
        with contextlib.suppress(OSError):  # stderr may be closed; print() may be what was interrupted
            os.write(2, b"\nstopping after the batches under way; Ctrl-C again aborts at once\n")
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
