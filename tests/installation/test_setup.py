"""``python -m zoo setup`` and ``python -m zoo run``: an environment, and old scripts in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_refused

from zoo.data import idx
from zoo.errors import ZooError
from zoo.installation import environment

SOURCES = ROOT / "tests/fixtures"  # the notebook's and the report's code, unchanged


@pytest.fixture
def other_environment(tmp_path: Path) -> Path:
    """The Python of a separate environment, which sees this one's packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (folder,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (folder / "base.pth").write_text(f"{Path(np.__file__).parents[1]}\n{ROOT}\n")
    return tmp_path / "venv/bin/python"


def test_the_hook_makes_a_bare_import_work_in_every_program(other_environment: Path, tmp_path: Path):
    def run(*arguments: str) -> str:
        return subprocess.run(
            [other_environment, *arguments], cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    assert "is already installed" in run("-m", "zoo", "setup", "--hook")
    assert run("-c", "import mxnet as mx; print(mx.nd.ones((2, 3)).sum().asscalar())") == "6.0\n"
    assert run("-c", "import sys; print({'numpy', 'mxnet', 'argparse'} & set(sys.modules))") == "set()\n"
    assert re.search(r"import hook .*mxnet_mnist_zoo_hook.pth", run("-m", "zoo", "doctor"))
    assert run("-m", "zoo", "setup", "--unhook") == "removed the import hook\n"
    assert run("-m", "zoo", "setup", "--unhook") == "there was no import hook to remove\n"
    assert run("-c", "import sys; print(any('zoo' in type(each).__module__ for each in sys.meta_path))") == "False\n"


def test_the_hook_does_not_stop_python_once_the_zoo_is_gone(other_environment: Path, tmp_path: Path):
    (folder,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (folder / environment.hook_file().name).write_text(environment._HOOK)
    (folder / "base.pth").unlink()
    done = subprocess.run([other_environment, "-c", "print(1)"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("machine, extra, reason", [
    ({"STAND_IN_GPUS": ""}, "cpu", "NVIDIA's driver shows no GPU"),
    ({"STAND_IN_GPUS": "8.6"}, "cu112", "gpu(0) Stand-in GPU, compute capability 8.6"),
    ({"STAND_IN_GPUS": "8.6", "STAND_IN_DRIVER": "10.2"}, "cpu", "update it"),
    ({"STAND_IN_GPUS": "9.0"}, "cpu", "compute capability 9.0 cannot run mxnet-cu112"),
    ({"STAND_IN_GPUS": "8.6,9.0"}, "cpu", "CUDA_VISIBLE_DEVICES=0 hides it"),
])  # fmt: skip
def test_the_wheel_is_chosen_by_driver_and_card(machine: dict, extra: str, reason: str, driver: dict):
    code = "from zoo.installation import environment; choice = environment.choose(); print(choice.extra, choice.reason)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **driver, **machine}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout.startswith(f"{extra} ") and reason in found.stdout, found


def test_cuda_libraries_that_are_missing_are_installed_beside_the_wheel(monkeypatch):
    asked = []
    monkeypatch.setattr(environment, "_pip", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(environment.libraries, "mxnet_distribution", lambda: "mxnet-cu112 1.9.1")
    assert environment.install("cu112")
    ((action, *packages),) = asked
    assert action == "install" and len(packages) >= 9 and all(each.startswith("nvidia-") for each in packages)


def test_setup_installs_the_cuda_libraries_that_the_package_lists():
    assert sum(each.startswith("nvidia-") for each in environment._requirements("cu112")) >= 9
    assert environment._requirements("cpu") == []


@pytest.mark.parametrize("system, machine", [("Windows", "AMD64"), ("Darwin", "arm64"), ("Linux", "riscv64")])
def test_where_there_is_no_wheel_that_is_said(system: str, machine: str, monkeypatch):
    monkeypatch.setattr(environment.platform, "system", lambda: system)
    monkeypatch.setattr(environment.platform, "machine", lambda: machine)
    with pytest.raises(ZooError, match=f"there is no mxnet 1.9.1 for {system} on {machine}, only for"):
        environment.install("cpu")


def test_what_pip_says_is_passed_on():
    with pytest.raises(ZooError, match="pip install failed: .*no-such-package.*is there a network"):
        environment._pip("install", "--no-index", "no-such-package-of-this-name")


def test_a_script_runs_as_python_runs_it(run, tmp_path: Path):
    script = tmp_path / "script.py"
    (tmp_path / "beside.py").write_text("answer = 42\n")
    script.write_text(
        "import sys, mxnet as mx, multiprocessing, beside\n"
        "def work(x): return float(mx.nd.ones(x).sum().asscalar())\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(1) as pool: print(sys.argv[1:], beside.answer, __file__, pool.map(work, [3]))\n"
        "    raise SystemExit(5)\n"
    )
    done = run("zoo", "run", script, "--epochs", "3", "-m")
    assert (done.stdout, done.returncode) == (f"['--epochs', '3', '-m'] 42 {script} [3.0]\n", 5), done.stderr
    script.write_text("import mxnet as mx\n\nmx.nd.ones(2) + mx.nd.ones(3)\n")
    done = run("zoo", "run", script)
    assert done.returncode == 1
    assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{script}", line 3, in <module>\n')


@pytest.mark.parametrize(
    "name, words", [("no-such.py", "tools are diagnose.py, im2rec.py"), (".", "it is a directory")]
)
def test_what_is_no_script_is_refused(run, name: str, words: str):
    assert_refused(run("zoo", "run", name), words)


def test_mxnet_s_own_tools_run_by_name(run, tmp_path: Path):
    """Here im2rec.py, with worker processes."""
    cv2 = pytest.importorskip("cv2")
    for digit in range(3):
        (tmp_path / f"images/{digit}").mkdir(parents=True)
        for number in range(4):
            image = np.full((28, 28), 80 * digit, np.uint8)
            cv2.imwrite(str(tmp_path / f"images/{digit}/{number}.png"), image)
    prefix, images = tmp_path / "digits", tmp_path / "images"
    assert run("zoo", "run", "im2rec.py", "--list", "--recursive", prefix, images).returncode == 0
    done = run("zoo", "run", "im2rec.py", "--color=0", "--num-thread=2", "--encoding=.png", prefix, images)
    assert done.returncode == 0, done.stderr
    evaluated = run("zoo", "evaluate", "mlp", "--data", f"rec:{prefix}.rec")
    assert "errors of 12," in evaluated.stdout, evaluated.stdout + evaluated.stderr


@pytest.fixture
def some_digits(mnist, tmp_path: Path) -> Path:
    """The first 1,000 images of MNIST's training and test set as IDX files."""
    for name, part in (("train", mnist.train[:1000]), ("t10k", mnist.test[:1000])):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx.encode(part.images))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx.encode(part.labels))
    return tmp_path


def test_the_notebook_runs_as_it_is(run, tmp_path: Path):
    packed = run("zoo", "pack", tmp_path / "mnist", "--images", 2000, "--train-ratio", 0.9, "--test-ratio", 0.1)
    assert packed.returncode == 0, packed.stderr
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "run", SOURCES / "notebook_mlp.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    accuracies = [float(each) for each in re.findall(r"Epoch\[\d+\] Validation-accuracy=([\d.]+)", done.stderr)]
    assert len(accuracies) == 10 + 10 + 25
    assert accuracies[9] < 0.3 < 0.6 < accuracies[-1]  # a rate of 0.1 learns nothing from pixels up to 255


def test_the_report_runs_as_it_is(some_digits: Path, tmp_path: Path):
    """The script trains for 150 epochs, and is interrupted as in the report."""
    command = [sys.executable, "-u", "-m", "zoo", "run", SOURCES / "report_cnn7.py"]
    environment = {**os.environ, "MNIST_DIR": str(some_digits), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        said = [running.stdout.readline()]
        while said[-1] and "validation set accuracy" not in said[-1]:
            said.append(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        errors = running.communicate(timeout=120)[1]
    assert said[0] == "context: [cpu(0)]\n" and said[1].startswith("epoch  1:"), errors
    assert errors.rstrip().endswith("KeyboardInterrupt") and running.returncode != 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_a_script_starts_can_import_mxnet_too(run, tmp_path: Path, method: str):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, os, subprocess, sys\n"
        "import mxnet as mx\n"
        "def work(x): return float(mx.nd.ones(x).sum().asscalar())\n"
        "if __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method({method!r})\n"
        "    with multiprocessing.Pool(1) as pool: print(pool.map(work, [3]))\n"
        "    print(subprocess.check_output([sys.executable, '-c', 'import mxnet; print(mxnet.nd)'], text=True)[:7])\n"
        "    os.chdir('/'); print(os.path.exists(__file__))\n"
    )
    done = run("zoo", "run", script)
    assert (done.stdout, done.returncode) == ("[3.0]\n<module\nTrue\n", 0), done.stderr


def test_the_hook_leaves_other_modules_called_zoo_alone(other_environment: Path, tmp_path: Path):
    assert subprocess.run([other_environment, "-m", "zoo", "setup", "--hook"], cwd=tmp_path).returncode == 0
    (tmp_path / "zoo.py").write_text("animals = 3\n")
    code = "import zoo; print(zoo.animals)"
    done = subprocess.run([other_environment, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


@pytest.mark.parametrize(
    "content, expected", [("(", "SyntaxError"), ("e = ValueError('x')\nraise e from e\n", "ValueError")]
)
def test_a_bad_script_fails_as_python_lets_it_fail(run, tmp_path: Path, content: str, expected: str):
    script = tmp_path / "script.py"
    script.write_text(content)
    done = run("zoo", "run", script)
    assert done.returncode == 1 and expected in done.stderr and "installation/script.py" not in done.stderr, done.stderr
