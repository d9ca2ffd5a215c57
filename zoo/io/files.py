"""Files that users name: read only if they are regular and of bounded size, and written atomically.

A reader finds the old content or the new, never a part of it. A pipe does not make it wait, and a device does not fill
the memory.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from zoo.errors import ZooError
from zoo.io import temporary

MOST = 1 << 30  # bytes that are read of one file: more than MNIST's shapes can need


def read(path: Path, error: type[ZooError] = ZooError, most: int = MOST) -> bytes:
    """Return the content of a regular file; raises ``error`` if it is none, cannot be read, or exceeds ``most`` bytes.

    Links are followed.
    """
    with _regular(path, error) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise error(f"cannot read {path}: it has more than {most:,} bytes")
    return content


def copy(path: Path, target: Path) -> None:
    """Copy a regular file of any size; raises :class:`ZooError` if it is none, or cannot be read or written."""
    with _regular(path, ZooError) as source, atomic(target) as file:
        shutil.copyfileobj(source, file)


@contextmanager
def _regular(path: Path, error: type[ZooError]) -> Iterator[IO[bytes]]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would wait for its writer
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise error(f"cannot read {path}: it is not a file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as failure:  # ValueError: a zero byte in the name
        if isinstance(failure, ZooError):
            raise
        raise error(f"cannot read {path}: {getattr(failure, 'strerror', None) or failure}") from None


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file that is renamed to ``path`` when the block ends, and removed if the block fails.

    Links are followed; a device or a pipe is written to directly. File system errors (no space, no permission, a
    read-only disk) are raised as a :class:`ZooError` that names the path, and leave the old file at ``path`` in place.
    """
    try:
        path = _followed(path)
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with temporary.file(path) as (descriptor, part):
            with os.fdopen(os.dup(descriptor), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # Temporary files are private: restore the mode of the old file, or set that of any new file.
            part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask())
            part.replace(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error


def user_cache() -> Path:
    """The platform's cache folder for data that can be fetched or built again (in ``XDG_CACHE_HOME`` on Linux)."""
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("mxnet-mnist-zoo", appauthor=False))
    except RuntimeError:
        raise ZooError("there is no home directory for the cache: set XDG_CACHE_HOME") from None


def hexdigest(content: bytes) -> str:
    """The SHA-256 of ``content`` in hexadecimal, the form used throughout this project."""
    return hashlib.sha256(content).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically (see :func:`atomic`)."""
    with atomic(path) as file:
        file.write(text.encode())


def write_together(contents: dict[Path, bytes]) -> None:
    """Write all files or none: they are renamed into place once the last of them is complete."""
    with ExitStack() as stack:
        for file, content in [(stack.enter_context(atomic(path)), content) for path, content in contents.items()]:
            file.write(content)


def output_directory(path: Path) -> Path:
    """Return ``path`` as a writable directory, made if missing, or raise :class:`ZooError`; call before long work."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise ZooError(f"cannot write into {path}: {error.strerror or error}") from error


def output_file(path: Path) -> Path:
    """Return ``path`` as a writable file, or raise :class:`ZooError`; call before long work."""
    path = Path(path)
    try:
        followed = _followed(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    if followed.is_dir():
        raise ZooError(f"cannot write {path}: it is a directory")
    output_directory(followed.parent)
    return path


def _followed(path: Path) -> Path:
    """Return where the links at ``path`` lead; raises :class:`OSError` for one that leads to itself."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.stat(path)  # noqa: PTH116  unlike Path.resolve, the same on every Python
    return Path(os.path.realpath(path))


def umask() -> int:
    """The permissions that this process takes away from new files."""
    current = os.umask(0)
    os.umask(current)
    return current
