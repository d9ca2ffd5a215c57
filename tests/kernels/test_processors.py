"""The kernels on other kinds of processors than this one: their sources compile, and programs compute the same."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.kernels.build import _FLAGS, _SOURCES
from zoo.kernels.library import declare
from zoo.runtime import cpus, mx

FOUND = kernels.available()
pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)]
KINDS = {
    "x86-64": "sse2",
    "haswell": "avx2",
    "skylake-avx512": "avx512f",
    "sapphirerapids": "amx_bf16",
}  # by g++'s name


def compile_for(kind: str, *arguments: object) -> None:
    command = ["g++", *_FLAGS, f"-march={kind}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", _SOURCES, ids=lambda path: path.stem)
def test_sources_compile(source: Path, kind: str):
    compile_for(kind, "-fsyntax-only", source)


@pytest.mark.parametrize("kind", [kind for kind, flag in KINDS.items() if flag in cpus.flags()])
def test_programs_agree(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With vectors of four, eight and sixteen lanes, as far as this processor has them."""
    (source,) = (path for path in _SOURCES if path.stem == "program")
    compile_for(kind, "-shared", source, "-o", tmp_path / "program.so")
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
