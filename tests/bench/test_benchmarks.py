"""``pytest benchmarks`` as a regression run: what is saved, and what fails when compared with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NO_WORKER = {"PYTEST_XDIST_WORKER": "", "PYTEST_ADDOPTS": ""}  # pytest-benchmark is off in pytest-xdist's workers


@pytest.fixture
def benchmark_again(run, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run one of the benchmarks, compared with the latest saved run if there is one."""

    def start(*options: str) -> subprocess.CompletedProcess:
        compared = ("--benchmark-compare", "--benchmark-compare-fail=median:900%")  # beyond any chance variation
        storage = f"--benchmark-storage={tmp_path}"
        return run("pytest", "benchmarks", "-k", "recordio", storage, *compared, *options, **NO_WORKER)

    return start


def test_slower_code_fails_and_a_slower_machine_does_not(benchmark_again, tmp_path: Path):
    first = benchmark_again("--benchmark-autosave")  # there is nothing yet to compare with
    assert first.returncode == 0, first.stdout + first.stderr
    (path,) = tmp_path.glob("*/*.json")
    saved = json.loads(path.read_text())
    (benchmark,) = saved["benchmarks"]
    facts = benchmark["extra_info"]
    assert {"phase", "context", "dtype", "images_per_second", "reference_seconds"} <= facts.keys()
    assert saved["machine_info"]["environment"]["processor"]

    times = ("min", "max", "mean", "median", "q1", "q3", "stddev", "iqr", "ld15iqr", "hd15iqr", "total")
    benchmark["stats"].update({name: benchmark["stats"][name] / 100 for name in times})
    path.write_text(json.dumps(saved))
    slower = benchmark_again()
    assert slower.returncode != 0 and "Performance has regressed" in slower.stdout + slower.stderr

    facts["reference_seconds"] /= 100
    path.write_text(json.dumps(saved))
    same = benchmark_again()
    assert same.returncode == 0, same.stdout + same.stderr
    assert "as they would be at the machine's current speed" in same.stdout
