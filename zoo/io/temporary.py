"""Temporary files and folders that no killed process leaves behind for long.

Each has the lowest number that no living process uses, and is locked by the process that made it. What a killed process
has left is thus used again, or removed, by the next one that needs such a name. Where the file system has no locks, as
some network shares have none, names are random, and what is left stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from zoo.errors import ZooError

_IN_THE_WAY = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class _NoLocks(OSError):
    """The file system has no locks."""


@contextmanager
def file(path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the descriptor and the name of an empty file beside ``path``, private to this user.

    It is removed when the block ends, unless it has been renamed. Errors of the file system are raised as they are.
    """
    try:
        descriptor, found = _lowest(lambda number: path.with_name(f".{path.name}.{number}.part"), is_folder=False)
    except _NoLocks:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        found = Path(name)
    try:
        os.ftruncate(descriptor, 0)
        yield descriptor, found
    finally:
        if _is_at(descriptor, found):
            found.unlink()
        os.close(descriptor)


@contextmanager
def folder(prefix: str = "mxnet-mnist-zoo-", parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder in ``parent`` (None: where the system keeps temporary ones), private to this user.

    It is removed with its contents when the block ends. Raises :class:`ZooError` if it cannot be made.
    """
    place = parent if parent is not None else Path(tempfile.gettempdir())
    try:
        try:
            descriptor, found = _lowest(lambda number: place / f"{prefix}{number}", is_folder=True)
        except _NoLocks:
            found = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            descriptor = _opened(found, is_folder=True)
    except OSError as error:
        raise ZooError(f"cannot make a temporary folder in {place}: {error.strerror or error}") from error
    try:
        yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)
        os.close(descriptor)


def _lowest(name: Callable[[int], Path], is_folder: bool) -> tuple[int, Path]:
    """Make and lock the first name that is free, and remove what dead processes have left at those that follow it."""
    names = map(name, count())
    descriptor = None
    while descriptor is None:
        found = next(names)
        descriptor = _locked(found, is_folder, make=True)
    if is_folder:
        for each in found.iterdir():
            _remove(each)
    for later in names:
        if not os.path.lexists(later):
            break
        left = _locked(later, is_folder, make=False)
        if left is not None:
            _remove(later)
            os.close(left)
    return descriptor, found


def _locked(path: Path, is_folder: bool, make: bool) -> int | None:
    """Return a descriptor of ``path`` with its lock; None if it is another process's or another user's, or missing."""
    while True:
        if is_folder and make:
            with suppress(FileExistsError):
                path.mkdir(0o700)
        try:
            descriptor = _opened(path, is_folder, make)
        except OSError as error:
            if error.errno in _IN_THE_WAY and os.path.lexists(path):
                return None
            if error.errno == errno.ENOENT and not make:
                return None
            if error.errno == errno.ENOENT and is_folder:
                continue  # removed by the process that had made it
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            os.close(descriptor)
            if make:
                _remove(path)
            raise _NoLocks(*error.args) from None
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_ISREG(status.st_mode) == is_folder:
            os.close(descriptor)
            return None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # renamed or removed by the process that had the lock before


def _opened(path: Path, is_folder: bool, make: bool = False) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY if is_folder else os.O_RDWR | os.O_NONBLOCK | (os.O_CREAT if make else 0)
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is still the file behind ``descriptor``."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
