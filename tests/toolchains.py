"""The C++ compilers that the kernels are tested with, as far as they are installed."""

from __future__ import annotations

import shutil

import pytest

from zoo.kernels.compilers import ziglang

COMPILERS = ("g++", "clang++", "ziglang")


def command(name: str) -> list[str]:
    """The command of a compiler; skips the test if it is not installed."""
    found = ziglang() if name == "ziglang" else [name] if shutil.which(name) else None
    return found or pytest.skip(f"{name} is not installed")
