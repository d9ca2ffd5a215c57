"""The CUDA wheel on stand-ins for NVIDIA's libraries: every path through this project on GPUs.

The stand-ins compute nothing, so the tests assert calls, shapes, devices and messages, never values.
"""

from __future__ import annotations

import json
from ctypes.util import find_library
from pathlib import Path

import pytest
from conftest import assert_refused
from stand_in import work
from stand_in.machine import done, libraries, needs_wheel, start  # noqa: F401  fixtures, as are those below

import zoo

# ruff: noqa: F811

pytestmark = needs_wheel


@pytest.fixture(scope="module")
def models(done) -> dict:
    return done("models")


@pytest.fixture(scope="module")
def features(done) -> dict:
    return done("features")


def test_the_stand_ins_fail_where_gpus_do(start):
    """Places where the CPU touches a GPU's memory, and where the wheel has no code for the GPU."""
    code = (
        "import ctypes; from zoo.runtime import mx; array, at = mx.nd.zeros(4, ctx=mx.gpu(0)), ctypes.c_void_p()\n"
        "mx.base._LIB.MXNDArrayGetData(array.handle, ctypes.byref(at)); print(bool(at.value), flush=True)\n"
    )
    touched = start("-c", code + "ctypes.string_at(at.value, 16)")
    assert touched.stdout == "True\n" and "Segmentation fault" in touched.stderr
    without_code = start("-c", code + "array.wait_to_read()", gpus="9.0")
    assert without_code.returncode == 1 and "no kernel image is available" in without_code.stderr


# -- networks ----------------------------------------------------------------------------------------------------------


def count(calls: list, device: str, what: str, size: int) -> int:
    """Calls of ``what`` on ``device`` in float32 with the dimension ``size``."""
    return sum(
        number
        for where, call, number in calls
        if where == device and call.startswith(f"{what} float32 ") and str(size) in call.replace("x", " ").split()
    )


def assert_done_on(found: dict, contexts: list[str]) -> None:
    """On each context, every convolution and matrix product of the network ran on its part of every batch."""
    assert found["places"] == found["contexts"] == contexts
    assert (found["epochs"], found["logits"], found["dtype"]) == (1, [work.IMAGES, 10], "float32")
    assert {device for device, _, _ in found["trained"] + found["evaluated"]} == set(contexts)
    share, tested = work.BATCH // len(contexts), work.IMAGES // len(contexts)
    layers, dense = found["convolutions"], found["dense"]
    for device in contexts:
        trained, evaluated = found["trained"], found["evaluated"]
        assert count(trained, device, "convolution", share) == work.BATCHES * layers
        assert count(trained, device, "convolution-weight-gradient", share) == work.BATCHES * layers
        products = count(trained, device, "gemm", share)  # forward, and for the gradients of weights and inputs;
        without_first = work.BATCHES * (not layers)  # the images need none
        assert products == work.BATCHES * 3 * dense - without_first
        assert count(trained, device, "convolution", tested) == layers  # the validation
        assert count(evaluated, device, "convolution", tested) == layers
        assert count(evaluated, device, "gemm", tested) == dense


def test_every_model_trains_and_predicts_on_one_gpu_and_on_two(models):
    assert {name.split(" on ")[0] for name in models} == set(zoo.list_models())
    for name, found in models.items():
        assert_done_on(found, name.split(" on ")[1].split(","))
    assert "cnn7 on gpu(1)" in models  # where nothing may happen on gpu(0)


def test_two_gpus_share_every_update(models):
    """For each batch, one GPU updates a parameter with the gradients of both, and both get the result."""
    for name, found in models.items():
        if found["contexts"] != ["gpu(0)", "gpu(1)"]:
            continue
        updates = [number for _, call, number in found["trained"] if "MultiSGDKernel" in call]
        assert sum(updates) == work.BATCHES * found["trainable"], name
        assert {device for device, call, _ in found["trained"] if call == "memcpy DtoD"} == {"gpu(0)", "gpu(1)"}


def test_parameters_are_written_from_one_gpu_and_read_into_two(features):
    found = features["saved"]
    assert found["places"] == ["gpu(0)", "gpu(1)"]
    assert found["differed"] and found["same"] and found["copies"] == 2 * found["parameters"]


def test_weights_that_come_with_the_package_reach_a_gpu_bit_for_bit(features):
    assert features["pretrained"]


def test_memory_is_of_each_gpu(features):
    assert features["memory"] == [0, 64 * 2**20]


def test_every_optimizer_and_all_augmentation(features):
    assert len(features["recipes"]) == 2 * len({name.split(" on ")[0] for name in features["recipes"]}) > 2
    for name, found in features["recipes"].items():
        assert found == {"epochs": 2, "deformed": name.split(" on ")[1].split(",")}


def test_learning_rates_are_tried_on_a_gpu(features):
    assert features["rates"] > 1


def test_mxnet_s_module_trains_on_two_gpus(features):
    assert features["module"] == ["gpu(1)"]


def test_what_does_not_work_on_gpus_is_refused(features):
    said = features["refusals"]
    assert said["bfloat16"] == said["bfloat16, training"]
    assert "bfloat16 runs on CPUs only" in said["bfloat16"]
    assert said["int8"] == "int8 runs on cpu(0) only, not on gpu(0)"
    assert "gpu(2) does not work here (no such GPU): possible are cpu(0), gpu(0), gpu(1)" in said["gpu(2)"]
    assert "distinct" in said["gpu(0),gpu(0)"]


# -- which GPUs there are ----------------------------------------------------------------------------------------------


def test_all_gpus_that_can_be_used_are_offered(features):
    assert features["usable"] == ["cpu(0)", "gpu(0)", "gpu(1)"] and features["list_gpus"] == [0, 1]


def test_doctor_tries_the_gpu(start, tmp_path: Path):
    found = start("-m", "zoo", "doctor", STAND_IN_LOG=str(tmp_path / "log"))
    assert found.returncode == 0, found.stdout + found.stderr
    said = " ".join(found.stdout.split())
    assert "GPU gpu(0) Stand-in GPU, compute capability 8.6 contexts cpu(0), gpu(0)" in said
    assert "python -m pytest -m gpu tests compares what they compute with the CPU" in said
    assert "CUDA libraries 9 from pip: " in said and said.count("libcudart.so.11.0") == 1
    assert "all is well: a training step of cnn7 ran on cpu(0), gpu(0)" in said
    assert "0\tconvolution-weight-gradient float32 32x1x28x28 64x1x3x3\t1" in (tmp_path / "log").read_text()
    assert "lib mismatch" not in found.stderr


def test_doctor_refuses_a_gpu_that_the_wheel_has_no_code_for(start, tmp_path: Path):
    found = start("-m", "zoo", "doctor", gpus="9.0", STAND_IN_LOG=str(tmp_path / "log"))
    assert found.returncode == 0, found.stdout + found.stderr
    said = " ".join(found.stdout.split())
    assert "GPUs not used gpu(0) Stand-in GPU, compute capability 9.0 cannot run mxnet-cu112" in said
    assert "contexts cpu(0) dtypes cpu(0): " in said and "a training step of cnn7 ran on cpu(0)" in said
    assert "launch" not in (tmp_path / "log").read_text()


def test_doctor_names_the_wheel_for_a_gpu_that_is_there(libraries: Path, run):
    found = run("zoo", "doctor", LD_LIBRARY_PATH=str(libraries / "driver"), STAND_IN_GPUS="8.6")  # on the CPU wheel
    assert found.returncode == 0
    assert "is for CPUs alone: run python -m zoo setup --wheel cu112" in found.stdout


@pytest.mark.skipif(find_library("cuda") is not None, reason="there is a driver of NVIDIA's")
def test_doctor_without_a_driver(start):
    found = start("-m", "zoo", "doctor", LD_LIBRARY_PATH="")
    assert found.returncode == 1
    assert "problem: this MXNet is a CUDA wheel and needs libcuda.so.1 of NVIDIA's driver" in found.stdout
    assert "(9 CUDA libraries from pip are loaded, only this one is missing)" in found.stdout


@pytest.mark.parametrize("gpus, environment, usable, said", [
    ("8.6,9.0", {}, "cpu(0)", "(gpu(1) Stand-in GPU, compute capability 9.0 has no code"),
    ("8.6,9.0", {"CUDA_VISIBLE_DEVICES": "0"}, "cpu(0) gpu(0)", "[gpu(0)] range(0, 1)"),
    ("8.6", {"STAND_IN_DRIVER": "10.2"}, "cpu(0)", "(NVIDIA's driver knows CUDA 10.2"),
    ("", {}, "cpu(0)", "(NVIDIA's driver shows no GPU: no CUDA-capable device is detected): possible are cpu(0) and"),
])  # fmt: skip
def test_which_contexts_can_be_used(gpus: str, environment: dict, usable: str, said: str, start):
    code = (
        "import zoo, mxnet; from zoo.runtime import contexts\n"
        "print(*contexts.usable())\n"
        "try: print(contexts.check('gpu(0)'), mxnet.test_utils.list_gpus())\n"
        "except zoo.errors.ZooError as error: print(error)"
    )
    found = start("-c", code, gpus=gpus, **environment)
    assert found.returncode == 0, found.stderr
    contexts, answer = found.stdout.splitlines()
    assert contexts == usable and said in answer
    assert answer.startswith("gpu(0) does not work here (") == (usable == "cpu(0)")


# -- commands ----------------------------------------------------------------------------------------------------------


def test_train_and_evaluate(start, tmp_path: Path):
    out = tmp_path / "run"
    trained = start("-m", "zoo", "train", "lenet5", "--epochs", 1, "--ctx", "gpu(0),gpu(1)", "--out", out,
                    gpus="8.6,8.6")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "on gpu(0), gpu(1) with" in trained.stdout
    history = json.loads((out / "history.json").read_text())
    assert history["contexts"] == ["gpu(0)", "gpu(1)"] and history["command"]["machine"] == "Stand-in GPU, Stand-in GPU"
    evaluated = start("-m", "zoo", "evaluate", "lenet5", "--params", out / "final.params", "--ctx", "gpu(0)")
    assert evaluated.returncode == 0, evaluated.stderr
    assert history["command"]["sha256"] in evaluated.stdout and "errors of 10,000" in evaluated.stdout


def test_a_full_gpu_is_one_sentence(start):
    for command in ("train", "evaluate"):
        found = start("-m", "zoo", command, "cnn7", "--ctx", "gpu(0)", STAND_IN_MEMORY_MIB="20")
        assert found.returncode == 1
        assert found.stderr.splitlines()[-1].startswith("error: MXNet: not enough memory on the GPU: try a smaller")
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments, words", [
    (["evaluate", "mlp", "--ctx", "gpu(7)"], ["gpu(7) does not work here (no such GPU)", "cpu(0), gpu(0)"]),
    (["evaluate", "mlp", "--ctx", "gpu(0)", "--dtype", "int8"], ["int8 runs on cpu(0) only, not on gpu(0)"]),
    (["train", "mlp", "--ctx", "gpu(0)", "--dtype", "bfloat16"], ["bfloat16 runs on CPUs only"]),
])  # fmt: skip
def test_mistakes_are_refused(arguments: list, words: list, start):
    found = start("-m", "zoo", *arguments)
    assert_refused(found, *words)
    assert found.stdout == ""


def test_bench_measures_on_gpus_and_goes_on_where_one_is_full(start, tmp_path: Path):
    file = tmp_path / "result.json"
    found = start(
        "-m", "bench", "--models", "mlp", "cnn7", "--contexts", "gpu(0)", "gpu(0),gpu(1)", "--batch-sizes", 3000,
        "--phases", "infer", "--seconds", 0.2, "--json", file,
        gpus="8.6,8.6", STAND_IN_MEMORY_MIB="200",
    )  # fmt: skip
    assert found.returncode == 1, found.stderr
    assert "failed: cnn7 on gpu(0), float32, batch 3000, infer: not enough memory on the GPU" in found.stdout
    result = json.loads(file.read_text())
    measured = {each["cell"]["context"]: each for each in result["results"] if each["cell"]["model"] == "mlp"}
    one, two = (measured[context]["measurement"]["memory_mib"] for context in ("gpu(0)", "gpu(0),gpu(1)"))
    images = 60_000 * 785 / 2**20
    assert images < one < 200 and 2 * images < two < 400
    assert len(result["environment"]["gpus"]) == 2
