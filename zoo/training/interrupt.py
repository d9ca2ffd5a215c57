"""Ctrl-C as a request that is honoured between batches, where MXNet can be left cleanly."""

from __future__ import annotations

import signal
import threading


class Interruption:
    """While entered, the first Ctrl-C sets ``requested`` instead of raising; a second one raises at once.

    An exception raised inside one of MXNet's callbacks is swallowed or turned into another; a flag is not.
    Signals reach the main thread only; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous = None

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, *_) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
