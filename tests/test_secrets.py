"""No written file contains anything from the environment but the settings that results record."""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
from pathlib import Path

import pytest
from reports import CELL, a_run, peers, write

from bench import environment, results, settings
from zoo.data import idx
from zoo.data.catalogue import DATASETS
from zoo.data.mnist import locate

MARK = "Xq7Zk3"  # in every secret, and in nothing else
NAMES = (
    "NVIDIA_API_KEY", "MXNET_TOKEN", "ZOO_PASSWORD", "OMP_SECRET", "KMP_KEY", "GOMP_KEY", "DNNL_KEY", "MKLDNN_KEY",
    "ONEDNN_KEY", "OPENBLAS_KEY", "MKL_KEY", "CUDA_TOKEN", "CUBLAS_TOKEN", "NNVM_KEY", "OPENCV_KEY", "MXNET_HOME",
    "MXNET_GLUON_REPO", "CUDA_VISIBLE_DEVICES_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN",
    "GITHUB_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "PIP_INDEX_URL", "https_proxy", "SSH_AUTH_SOCK", "PASSWORD",
)  # fmt: skip
PLANTED = {name: f"https://user:{MARK}{number}@host/{MARK}" for number, name in enumerate(NAMES)}
# Recorded names with values that no such setting has; the libraries that read them are not in use here.
PLANTED.update(MKL_NUM_THREADS=f"/home/{MARK}", MXNET_CPU_NNPACK_NTHREADS=MARK, NVIDIA_VISIBLE_DEVICES=f"/run/{MARK}")
TOLD = {"MXNET_EXEC_NUM_TEMP": "1", "KMP_AFFINITY": "granularity=fine,compact,1,0", "NVIDIA_TF32_OVERRIDE": "0"}
QUICK = ("--models", "mlp", "--batch-sizes", 100, "--contexts", "cpu", "--dtypes", "float32", "--seconds", 0.1)
NO_WORKER = {"PYTEST_XDIST_WORKER": "", "PYTEST_ADDOPTS": ""}  # pytest-benchmark is off in pytest-xdist's workers


def assert_silent(folder: Path, *kinds: str) -> None:
    """Files of all ``kinds`` are in ``folder``, and no secret in any file."""
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= set(kinds)
    for path in written:
        assert MARK.encode() not in path.read_bytes() and MARK not in path.name


def assert_done(done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert MARK not in done.stdout + done.stderr


def test_results_and_their_page(run, mnist, tmp_path: Path):
    secret = {**PLANTED, **TOLD, "CXX": f"no-such-compiler-{MARK}"}
    result, page = tmp_path / "result.json", tmp_path / "page.html"
    options = ("--json", result, "--history", tmp_path / "history", "--profile", tmp_path / "profiles")
    assert_done(run("bench", *QUICK, *options, **secret))
    told = json.loads(result.read_text())["environment"]["settings"]
    assert TOLD.items() <= told.items() and told["OMP_NUM_THREADS"]
    assert told["MKL_NUM_THREADS"] == told["MXNET_CPU_NNPACK_NTHREADS"] == settings.UNTOLD
    if importlib.util.find_spec("jinja2") and importlib.util.find_spec("matplotlib"):
        assert_done(run("bench", "report", result, tmp_path / "history", "--out", page, **secret))
        assert "KMP_AFFINITY" in page.read_text()
    assert_silent(tmp_path, ".json")


def test_training_and_export(run, mnist, tmp_path: Path):
    out = tmp_path / "run"
    assert_done(run("zoo", "train", "mlp", "--epochs", 1, "--data", "synthetic", "--out", out, **PLANTED))
    assert_done(run("export", "mlp", "--params", out / "final.params", "--out", tmp_path / "files", **PLANTED))
    assert_silent(tmp_path, ".json", ".params", ".onnx")


@pytest.fixture(scope="module")
def private_folder(tmp_path_factory) -> Path:
    """A folder whose name is nobody's business, with MNIST in it."""
    folder = tmp_path_factory.mktemp("where") / MARK
    (folder / "mnist").mkdir(parents=True)
    for name, path in locate(DATASETS["mnist"]).items():
        (folder / "mnist" / name).write_bytes(idx.read(path))
    return folder


def test_no_file_tells_where_things_are_or_whose(run, private_folder: Path):
    """The folders that a command is given, the user's home, and the host's name."""
    data, out = private_folder / "mnist", private_folder / "out"
    assert run("zoo", "train", "mlp", "--epochs", 1, "--data", data, "--out", out / "run").returncode == 0
    assert run("export", "mlp", "--params", out / "run" / "final.params", "--data", data, "--out", out).returncode == 0
    options = ("--json", out / "result.json", "--profile", out / "profiles", "--history", out / "history")
    assert run("bench", *QUICK, "--data", data, *options).returncode == 0
    assert run("zoo", "pack", out / "digits", "--data", data).returncode == 0
    missing = run("bench", *QUICK, "--data", private_folder / "none", "--json", out / "failed.json")
    assert missing.returncode != 0
    if importlib.util.find_spec("jinja2") and importlib.util.find_spec("matplotlib"):
        page = ("--out", out / "page.html")
        assert run("bench", "report", out / "result.json", out / "run", *page).returncode == 0
    assert_silent(out, ".json", ".params", ".onnx", ".rec", ".lst")
    names = (str(Path.home()), str(private_folder.parent), platform.node())
    for path in out.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [name for name in names if len(name) > 3 and name.encode() in content], path


def test_saved_benchmarks(run, mnist, tmp_path: Path):
    storage = f"--benchmark-storage={tmp_path}"
    assert_done(run("pytest", "benchmarks", "-k", "recordio", storage, "--benchmark-autosave", **PLANTED, **NO_WORKER))
    assert_silent(tmp_path, ".json")
    (saved,) = tmp_path.rglob("*.json")
    assert json.loads(saved.read_text())["machine_info"]["node"] == ""


def test_comparisons_with_others(run, mnist, tmp_path: Path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    options = ("--only", "mlp", "--rounds", 1, "--batches", 1, "--json", tmp_path / "peers.json")
    assert_done(run("bench", "peers", *options, **PLANTED))
    assert_silent(tmp_path, ".json")


def test_what_is_captured_here(monkeypatch):
    for name, value in {**PLANTED, **TOLD}.items():
        monkeypatch.setenv(name, value)
    captured = environment.capture()
    assert MARK not in json.dumps(captured) and TOLD.items() <= captured["settings"].items()


@pytest.mark.parametrize("name, value", [
    ("OMP_NUM_THREADS", "2"), ("OMP_NUM_THREADS", "4,2"), ("OMP_DYNAMIC", "false"), ("OMP_STACKSIZE", " 16 M "),
    ("OMP_PLACES", "{0:4}:4:1"), ("OMP_SCHEDULE", "guided, 4"), ("GOMP_CPU_AFFINITY", "0 3 1-2 4-15:2"),
    ("KMP_BLOCKTIME", "infinite"), ("KMP_BLOCKTIME", "200ms"), ("KMP_HW_SUBSET", "2s,4c@2,1t"),
    ("MXNET_ENGINE_TYPE", "NaiveEngine"), ("MXNET_KVSTORE_TREE_LINK_USAGE_PENALTY", "0.7"), ("MXNET_CPU_TEMP_COPY", ""),
    ("MXNET_MKLDNN_CACHE_NUM", "-1"), ("DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX"), ("OPENBLAS_CORETYPE", "Haswell"),
    ("CUDA_VISIBLE_DEVICES", "0,1"), ("CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"),
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:2:16:8"), ("ZOO_AMX", "0"), ("ZOO_KERNELS", "0"),
])  # fmt: skip
def test_settings_are_told_as_they_are_set(name: str, value: str):
    assert settings.told({name: value, "HOME": "/root"}) == {name: value}


@pytest.mark.parametrize("name, value", [
    ("OMP_NUM_THREADS", "hunter2"), ("MXNET_ENGINE_TYPE", "/home/me/engine"), ("MXNET_ENGINE_TYPE", "x" * 101),
    ("NVIDIA_VISIBLE_DEVICES", "/var/run/nvidia-container-devices"), ("ZOO_AMX", "token"), ("OMP_PLACES", "a\nb"),
    ("MXNET_CPU_TEMP_COPY", "4" * 60), ("KMP_AFFINITY", "§"),
])  # fmt: skip
def test_odd_values_are_not_told(name: str, value: str):
    assert settings.told({name: value}) == {name: settings.UNTOLD}
    assert settings.told(settings.told({name: value})) == {name: settings.UNTOLD}


@pytest.mark.parametrize("held", [
    {"NVIDIA_API_KEY": MARK, "OMP_NUM_THREADS": "2", "MXNET_HOME": MARK, "ZOO_AMX": [MARK]},
    [f"NVIDIA_API_KEY={MARK}"],
])  # fmt: skip
def test_what_older_files_tell_is_not_shown(held: object, run_here, tmp_path: Path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    old = a_run({CELL: 1000}, settings=held)
    compared = peers()
    compared["environment"]["settings"] = held
    files = write(tmp_path, old=old, peers=compared)
    assert_done(run_here("bench", "report", *files, "--out", tmp_path / "page.html"))
    shown = (tmp_path / "page.html").read_text()
    assert MARK not in shown and ("OMP_NUM_THREADS" in shown) == isinstance(held, dict)
    results.add_to_history(tmp_path, results.load(files[0]), tmp_path / "again.json")
    assert MARK not in (tmp_path / "again.json").read_text()
