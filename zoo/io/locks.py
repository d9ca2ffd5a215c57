"""Folders that only one process at a time may write to."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import ZooError


@contextmanager
def held(folder: Path, by: str) -> Iterator[None]:
    """Hold ``folder`` while the block runs; raises :class:`ZooError` if another process, such as ``by``, holds it.

    The system lets go of it when the process ends, however that happens. A file system that knows no locks, as some
    network shares do not, is written to without one.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ZooError(f"{folder} is in use by {by}: wait until that has ended") from None
        yield
    finally:
        os.close(descriptor)
