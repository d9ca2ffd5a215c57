"""Writing files so that a reader finds the old content or the new, never half of one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from zoo.errors import ZooError


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the name ``path`` once the block ends, and vanishes if the block fails.

    A link is followed; a device or a pipe is written to as it is. Whatever goes wrong with the file
    system (no space, no permission, a read-only disk) is raised as a :class:`ZooError` that names the
    path; what stood at ``path`` before is then still there.
    """
    path = Path(path).resolve()
    temporary = None
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Temporary files are private; a result is what it was before, or what any new file would be.
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def user_cache() -> Path:
    """The folder for what can be fetched or built again, as the platform wants it (``XDG_CACHE_HOME`` on Linux)."""
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("mxnet-mnist-zoo", appauthor=False))
    except RuntimeError:
        raise ZooError("there is no home directory for the cache: set XDG_CACHE_HOME") from None


def hexdigest(content: bytes) -> str:
    """The SHA-256 of ``content`` as this project writes it everywhere."""
    return hashlib.sha256(content).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, as :func:`atomic` does."""
    with atomic(path) as file:
        file.write(text.encode())


def write_together(contents: dict[Path, bytes]) -> None:
    """Write all files, or none: they take their names once the last of them is complete."""
    with ExitStack() as stack:
        for file, content in [(stack.enter_context(atomic(path)), content) for path, content in contents.items()]:
            file.write(content)


def output_directory(path: Path) -> Path:
    """``path`` as a directory in which files can be created, made if it is missing; checked before any long work."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise ZooError(f"cannot write into {path}: {error.strerror or error}") from error


def output_file(path: Path) -> Path:
    """``path`` as a file that can be written, checked before any long work."""
    path = Path(path)
    if path.is_dir():
        raise ZooError(f"cannot write {path}: it is a directory")
    output_directory(path.resolve().parent)
    return path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
