"""Which C++ compiler the kernels are compiled with: the machine's, or one that pip has installed."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
from pathlib import Path

from zoo.errors import ZooError

_NAMES = ("g++", "clang++", "c++")


def find() -> list[str] | None:
    """Return the command of ``$CXX``, of the machine's compiler or of the ziglang package's; None if there is none.

    Raises :class:`ZooError` if ``CXX`` names no command.
    """
    try:
        named = shlex.split(os.environ.get("CXX", ""))
    except ValueError as error:
        raise ZooError(f"CXX is {os.environ['CXX']!r}, which is no command: {error}") from None
    if named:
        if shutil.which(named[0]) is None:
            raise ZooError(f"CXX is {named[0]!r}, which cannot be found")
        return named
    found = next((name for name in _NAMES if shutil.which(name)), None)
    return [found] if found is not None else ziglang()


def ziglang() -> list[str] | None:
    """Return the command of the compiler in the ziglang package; None if that is not installed."""
    package = importlib.util.find_spec("ziglang")
    return [str(Path(package.origin).with_name("zig")), "c++"] if package and package.origin else None
