"""Starts the CUDA wheel on stand-ins for NVIDIA's libraries, for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from stand_in import build, work

PYTHON = os.environ.get("ZOO_TEST_CU112_PYTHON")
needs_wheel = pytest.mark.skipif(
    not PYTHON,
    reason="needs an environment with mxnet-cu112: .ci/cuda DIR makes one, and ZOO_TEST_CU112_PYTHON names its python",
)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory) -> Path:
    """The folder that the stand-ins were built in."""
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        pytest.skip("needs gcc and nm to build the stand-ins")
    code = "import importlib.util as u; print(u.find_spec('mxnet').submodule_search_locations[0])"
    package = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    folder = tmp_path_factory.mktemp("stand-ins")
    build.build(Path(package) / "libmxnet.so", folder)
    return folder


@pytest.fixture(scope="session")
def start(libraries: Path):
    """Run the CUDA wheel's Python on a machine with GPUs of these compute capabilities."""

    def start(*arguments: object, gpus: str = "8.6", **environment: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "OMP_"))}
        paths = {"PYTHONPATH": f"{libraries}:{ROOT}", "LD_LIBRARY_PATH": str(libraries / "driver")}
        return subprocess.run(
            [PYTHON, *map(str, arguments)],
            env={**inherited, **paths, "STAND_IN_GPUS": gpus, **environment},
            cwd=ROOT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return start


@pytest.fixture(scope="module")
def done(start, tmp_path_factory):
    """What :mod:`stand_in.work` reports for two GPUs."""

    def done(what: str) -> dict:
        log = tmp_path_factory.mktemp("calls") / "log"
        log.touch()
        ended = start(Path(work.__file__), what, gpus="8.6,8.6", STAND_IN_LOG=str(log))
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return done
