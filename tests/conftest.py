"""Real MNIST, real MXNet, and the command lines as a user starts them."""

from __future__ import annotations

import gzip
import os
import runpy
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from stand_in import build

import zoo
from zoo.data import decoded, idx
from zoo.data.catalogue import DATASETS
from zoo.data.mnist import locate
from zoo.graph.passes import writing
from zoo.runtime import isa

# If a shell started pytest in the background, pytest and its child processes ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
BFLOAT16 = ("bfloat16",) if "avx512bw" in isa.flags() else ()  # a dtype to test if this processor has it
needs_bfloat16 = pytest.mark.skipif(not BFLOAT16, reason="bfloat16 needs AVX-512")

if "PYTEST_XDIST_WORKER" in os.environ:  # MXNet, not imported yet, shares the CPUs with other workers' MXNet:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads should sleep, not spin

os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # float32 on GPUs should be float32 here, not the 19 bits of TF32


@pytest.fixture(scope="session")
def mnist() -> zoo.MNIST:
    return zoo.load_mnist()


@pytest.fixture(scope="session")
def fashion_mnist() -> zoo.MNIST:
    return zoo.load_fashion_mnist()


@pytest.fixture(params=["channels", "images"])
def lanes(request, monkeypatch) -> None:
    """Programs in both ways in which images may lie in memory, whichever is faster."""
    monkeypatch.setattr(writing, "LANES", request.param)


@pytest.fixture
def folder(mnist, tmp_path: Path) -> Path:
    """A private copy of MNIST's files, which tests may damage."""
    for name, path in locate(DATASETS["mnist"]).items():
        (tmp_path / name).write_bytes(idx.read(path))
    return tmp_path


@pytest.fixture(scope="session")
def gzipped(mnist, tmp_path_factory) -> Path:
    """A read-only folder with MNIST's gzipped files, as mirrors have them."""
    gzipped = tmp_path_factory.mktemp("gzipped")
    for name, path in locate(DATASETS["mnist"]).items():
        (gzipped / f"{name}.gz").write_bytes(gzip.compress(idx.read(path), 1, mtime=0))
    return gzipped


@pytest.fixture(scope="session", autouse=True)
def nothing_decoded(tmp_path_factory):
    """Keep what this process decodes within the tests, and hide from them what was decoded before."""
    folder = tmp_path_factory.mktemp("decoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoded, "folder", lambda: folder)
        yield


@pytest.fixture
def run():
    """Start ``python -m MODULE ARGUMENTS`` and wait for it; keyword arguments are environment variables."""

    def start(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return start


@pytest.fixture
def run_here(capfd, monkeypatch):
    """The same within this process, where MXNet is already imported: for commands that fail before doing anything."""

    def start(module: str, *arguments: object) -> subprocess.CompletedProcess:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [module, *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does
            runpy.run_module(module, run_name="__main__")
        return subprocess.CompletedProcess(sys.argv, ended.value.code, *capfd.readouterr())

    return start


@pytest.fixture(scope="session")
def driver(tmp_path_factory) -> dict[str, str]:
    """Environment variables that provide an NVIDIA driver and, together with STAND_IN_GPUS, GPUs."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build a stand-in for NVIDIA's driver")
    return {"LD_LIBRARY_PATH": str(build.build_driver(tmp_path_factory.mktemp("driver")))}


def assert_refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """Assert an exit code of 1 or 2 and, besides usage and progress, one sentence on stderr with all ``words``."""
    assert done.returncode in (1, 2), done
    notes = ("usage:", " ", "fetching MNIST into ", "measuring ")
    (sentence,) = (line for line in done.stderr.splitlines() if not line.startswith(notes))
    assert "error: " in sentence
    for word in words:
        assert word in sentence
