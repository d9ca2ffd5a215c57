"""The C++ compilers that the kernels are tested with, as far as they are installed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

COMPILERS = ("g++", "clang++", "ziglang")


def command(name: str) -> list[str]:
    """The command of a compiler; skips the test if it is not installed."""
    if name == "ziglang":
        package = importlib.util.find_spec("ziglang")
        found = [str(Path(package.origin).with_name("zig")), "c++"] if package else None
    else:
        found = [name] if shutil.which(name) else None
    return found or pytest.skip(f"{name} is not installed")
