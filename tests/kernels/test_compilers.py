"""Which compiler is found, on machines with and without one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.kernels import compilers


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def test_the_machine_s_own_comes_first(programs: Path, tmp_path: Path):
    assert compilers.find() is None
    install(tmp_path / "packages" / "ziglang" / "__init__.py")
    importlib.invalidate_caches()
    assert compilers.find() == [str(tmp_path / "packages" / "ziglang" / "zig"), "c++"]
    install(programs / "clang++")
    assert compilers.find() == ["clang++"]
    install(programs / "g++")
    assert compilers.find() == ["g++"]


def test_one_may_be_named(programs: Path, monkeypatch: pytest.MonkeyPatch):
    install(programs / "ccache")
    monkeypatch.setenv("CXX", "ccache clang++ -O2")
    assert compilers.find() == ["ccache", "clang++", "-O2"]


@pytest.mark.parametrize("named, words", [("absent", "'absent', which cannot be found"), ("a 'b", "is no command")])
def test_a_wrong_name_is_refused(programs: Path, monkeypatch: pytest.MonkeyPatch, named: str, words: str):
    install(programs / "g++")
    monkeypatch.setenv("CXX", named)
    with pytest.raises(ZooError, match=words):
        compilers.find()
