"""The kernels on other kinds of processors than this one: their sources compile, and programs compute the same."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toolchains import COMPILERS, command

import zoo
from zoo import kernels
from zoo.kernels.build import _FLAGS, _SOURCES
from zoo.kernels.library import declare
from zoo.runtime import cpus, isa, mx

FOUND = kernels.available()
pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)]
FLAGS = {kind.name: kind.flags for kind in isa.ALL}
FLAGS["amx"] = ("-march=sapphirerapids",)


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> list[str]:
    return command(request.param)


def compile_for(compiler: list[str], kind: str, *arguments: object) -> None:
    command = [*compiler, *_FLAGS, *FLAGS[kind], *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", FLAGS)
@pytest.mark.parametrize("source", _SOURCES, ids=lambda path: path.stem)
def test_sources_compile(compiler: list[str], source: Path, kind: str, tmp_path: Path):
    is_able = not compiler[0].endswith("zig")  # to check only
    compile_for(compiler, kind, *(["-fsyntax-only"] if is_able else ["-c", "-o", tmp_path / "compiled.o"]), source)


@pytest.mark.parametrize("kind", [kind.name for kind in isa.ALL if kind.needs <= cpus.flags()])
def test_programs_agree(compiler: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With vectors of four, eight and sixteen lanes, as far as this processor has them."""
    (source,) = (path for path in _SOURCES if path.stem == "program")
    compile_for(compiler, kind, "-shared", source, "-o", tmp_path / "program.so", "-ldl")
    library = ctypes.CDLL(str(tmp_path / "program.so"))
    declare(library)
    images = np.random.default_rng(0).random((9, 1, 28, 28), np.float32)
    monkeypatch.setattr(kernels, "available", lambda: replace(FOUND, library=library))
    for name in zoo.list_models():
        net = zoo.get_model(name, seed=0)
        expected = net(mx.nd.array(images)).asnumpy()
        for count in (1, 9):
            found = zoo.compile(net)(images[:count])
            assert np.abs(found - expected[:count]).max() <= 1e-5 * np.abs(expected).max(), name
