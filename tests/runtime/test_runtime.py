"""The process as ``zoo.runtime`` prepares it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused

from zoo.runtime import STATUS, cpus, libraries, mx
from zoo.runtime.gpus import Gpu


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints for ``code``."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def test_mxnet_works_with_this_numpy():
    assert STATUS.problem is None
    assert mx.nd.array(np.arange(4.0)).sum().asscalar() == 6


def test_mxnet_gets_scipy_s_statistics_when_it_uses_them():
    pytest.importorskip("scipy")
    code = (
        "import gc, sys; from zoo.runtime import mx; print('scipy.stats' in sys.modules, gc.isenabled())\n"
        "print(mx.contrib.quantization.stats.entropy([1]), mx.test_utils.ss.norm.cdf(0))\n"
        "import scipy.stats; from scipy.stats import norm; print(norm is mx.test_utils.ss.norm)"
    )
    assert python(code).split() == ["False", "True", "0.0", "0.5", "True"]


def test_threads_follow_the_affinity_mask():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import zoo.runtime as r; print(r.STATUS.threads, os.environ['OMP_NUM_THREADS'])"
    )
    assert python(code) == "1 1"


@pytest.mark.parametrize("chosen, threads", [("3", "3"), (" 1", "1"), ("3,1", "3")])
def test_threads_the_user_chose_stay(chosen: str, threads: str):
    assert python("import zoo.runtime as r; print(r.STATUS.threads)", OMP_NUM_THREADS=chosen) == threads


@pytest.mark.parametrize("given", ["many", "0", "-1", "99999999999999999999", "٣"])
def test_a_thread_count_that_is_none_is_said_and_replaced(given: str):
    said = python("import zoo.runtime as r; print(r.STATUS.threads_from)", OMP_NUM_THREADS=given)
    assert f"OMP_NUM_THREADS={given} is not a number" in said and "the CPUs this process may use" in said


@pytest.mark.parametrize(
    "limits",
    [{"OMP_THREAD_LIMIT": "1"}, {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "4"}, {"OMP_DYNAMIC": "true"},
     {"OMP_MAX_ACTIVE_LEVELS": "0"}, {"OMP_WAIT_POLICY": "passive", "OMP_PROC_BIND": "true"}],
)  # fmt: skip
def test_limits_on_openmp_do_not_change_results(limits: dict):
    """If OpenMP delivers fewer threads than MXNet expects, parts of its sums are missing."""
    code = (
        "import zoo; from zoo.runtime import mx\n"
        "print(zoo.get_model('mlp', seed=0)(mx.nd.ones((64, 1, 28, 28))).sum().asscalar())"
    )
    assert float(python(code, **limits)) == pytest.approx(float(python(code)), rel=1e-4)


def test_importing_the_zoo_does_not_load_mxnet():
    assert python("import zoo, sys; zoo.load_mnist; print('mxnet' in sys.modules)") == "False"


@pytest.mark.parametrize(
    "command",
    [
        ["zoo", "evaluate", "mlp"],
        ["zoo", "train", "mlp"],
        ["bench"],
        ["bench", "peers"],
        ["export", "mlp", "--out", "."],
    ],
    ids=" ".join,
)
def test_without_mxnet_there_is_one_sentence(command: list):
    code = (
        "import importlib.util as u, runpy, sys; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'mxnet' else real(name, *rest)\n"
        f"sys.argv = {command!r}; runpy.run_module({command[0]!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert_refused(done, "MXNet is not installed: run python -m zoo setup")


@pytest.mark.parametrize(
    "path, content, expected",
    [
        ("sys/fs/cgroup/cpu.max", "50000 100000", 1),
        ("sys/fs/cgroup/job/cpu.max", "100000 100000", 1),
        ("sys/fs/cgroup/cpu.max", "max 100000", None),
        ("sys/fs/cgroup/cpu.max", "nonsense", None),
    ],
)
def test_a_cgroup_quota_limits_the_cpus(tmp_path: Path, path: str, content: str, expected: int | None):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n")
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(content)
    assert cpus.usable(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_a_version_1_cgroup_quota_limits_the_cpus(tmp_path: Path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("3:cpu,cpuacct:/job\n1:name=systemd:/\n")
    folder = tmp_path / "sys/fs/cgroup/cpu/job"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("90000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert cpus.usable(tmp_path) == 1


@pytest.mark.parametrize("capability, runs", [((5, 2), True), ((7, 5), True), ((8, 6), True), ((8, 9), True),
                                              ((3, 7), False), ((9, 0), False), ((12, 0), False)])  # fmt: skip
def test_which_gpus_the_wheel_has_code_for(capability: tuple[int, int], runs: bool):
    assert Gpu(0, "test", capability).has_code == runs


def test_a_gpu_without_code_is_refused_in_one_sentence():
    assert "gpu(0) NVIDIA H100, compute capability 9.0 cannot run mxnet-cu112" in Gpu(0, "NVIDIA H100", (9, 0)).refusal


def test_gpus_are_those_that_the_driver_shows(driver: dict):
    code = "from zoo.runtime import gpus; print(*gpus.installed(), gpus.refusal(), sep='; ')"
    shown = "gpu(0) Stand-in GPU, compute capability 8.6; gpu(1) Stand-in GPU, compute capability 7.5; None"
    assert python(code, STAND_IN_GPUS="8.6,7.5", **driver) == shown


@pytest.mark.parametrize("machine, reason", [
    ({"STAND_IN_GPUS": "8.6,9.0,7.0"}, "gpu(1) Stand-in GPU, compute capability 9.0 has no code in mxnet-cu112, and "
                                       "MXNet hangs if it sees it: CUDA_VISIBLE_DEVICES=0,2 hides it"),
    ({"STAND_IN_GPUS": "9.0,8.6,7.0", "CUDA_VISIBLE_DEVICES": "0,2"}, "CUDA_VISIBLE_DEVICES=2 hides it"),
    ({"STAND_IN_GPUS": "8.6", "CUDA_VISIBLE_DEVICES": ""}, "NVIDIA's driver shows no GPU with CUDA_VISIBLE_DEVICES="),
    ({"STAND_IN_GPUS": ""}, "NVIDIA's driver shows no GPU: no CUDA-capable device is detected"),
    ({"STAND_IN_GPUS": "8.6", "STAND_IN_DRIVER": "10.2"}, "knows CUDA 10.2, and mxnet-cu112 needs 450.80 or later"),
])  # fmt: skip
def test_why_no_gpu_can_be_used(machine: dict, reason: str, driver: dict):
    assert reason in python("from zoo.runtime import gpus; print(gpus.refusal())", **driver, **machine)


@pytest.fixture
def linked(tmp_path: Path, request):
    """A shared library that links to one that the loader does not find, and the place where pip could put that one."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to make a library that links to a missing one")
    folder = tmp_path / "nvidia/some/lib"
    folder.mkdir(parents=True)
    source = tmp_path / "empty.c"
    source.write_text("int needed(void) { return 1; }")
    needed = folder / f"lib{request.node.name}.so.1"  # a unique name, as a loaded library stays loaded
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", needed, f"-Wl,-soname,{needed.name}", source], check=True)
    library = tmp_path / "libtest.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-o", library, source, needed], check=True)
    return library, needed


def test_libraries_that_pip_installed_are_found(linked, monkeypatch):
    library, needed = linked
    monkeypatch.syspath_prepend(str(needed.parents[3]))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert libraries.preload_for(library) == (needed.name,)


def test_libraries_that_need_each_other_across_folders_are_found(linked, monkeypatch):
    library, needed = linked
    deeper = needed.parents[2] / "other/lib/libdeeper.so.1"
    deeper.parent.mkdir(parents=True)
    source = library.with_name("empty.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", deeper, "-Wl,-soname,libdeeper.so.1", source], check=True)
    link = ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]
    subprocess.run([*link, needed, f"-Wl,-soname,{needed.name}", source, deeper], check=True)
    subprocess.run([*link, library, source, needed, deeper], check=True)  # needed by both
    monkeypatch.syspath_prepend(str(needed.parents[3]))
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert libraries.preload_for(library) == ("libdeeper.so.1", needed.name)


def test_a_library_that_is_nowhere_is_named(linked):
    library, needed = linked
    needed.unlink()
    with pytest.raises(libraries.MissingLibrary, match=f"needs the shared library {needed.name}"):
        libraries.preload_for(library)


def test_contexts_are_parsed_and_checked():
    from zoo.runtime import contexts

    assert contexts.parse("cpu(0), cpu(1)") == [mx.cpu(0), mx.cpu(1)]
    assert contexts.check(None) == [mx.cpu(0)]
    assert mx.cpu(0) in contexts.usable()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user with a limit of their own")
@pytest.mark.parametrize("processes", [1, 2, 4, 6, 8])
def test_too_few_threads_are_one_sentence(processes: int):
    """Native libraries would abort, hang, or send themselves Ctrl-C."""
    code = (
        "import os, resource, sys; from zoo.console import run_command\n"
        f"resource.setrlimit(resource.RLIMIT_NPROC, ({processes}, {processes})); os.setuid(54321)\n"
        "sys.exit(run_command('zoo.cli.evaluate', 'evaluate', '', ['mlp']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"error: the system lets this process start {processes - 1} threads, and MXNet and NumPy need" in done.stderr
