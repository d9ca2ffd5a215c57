"""float16 on the CUDA wheel with stand-ins for NVIDIA's libraries: which calls get it, and which do not.

The stand-ins compute nothing; ``test_values_on_gpu`` checks values.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import assert_refused
from stand_in import work
from stand_in.machine import done, libraries, needs_wheel, start  # noqa: F401 (fixtures)

import zoo
from zoo.recipes import OPTIMIZERS

pytestmark = needs_wheel


@pytest.fixture(scope="module")
def facts(done) -> dict:  # noqa: F811
    return done("float16")


def count(calls: list, device: str, what: str, size: int) -> int:
    """Calls of ``what``, a name and a dtype, on ``device`` with the dimension ``size``."""
    return sum(
        number
        for where, call, number in calls
        if where == device and call.startswith(f"{what} ") and str(size) in call.replace("x", " ").split()
    )


def test_layers_of_every_model_run_in_float16_and_normalization_does_not(facts):
    assert {name.split(" on ")[0] for name in facts["models"]} == set(zoo.list_models())
    for name, found in facts["models"].items():
        contexts = name.split(" on ")[1].split(",")
        assert found["places"] == contexts and found["dtype"] == "float16"
        assert found["parameters"] == ["float32"] and found["logits"] == ["float32", work.IMAGES, 10]
        share, tested = work.BATCH // len(contexts), work.IMAGES // len(contexts)
        trained, evaluated, batches = found["trained"], found["evaluated"], work.BATCHES
        for device in contexts:
            for what in ("convolution", "convolution-weight-gradient"):
                assert count(trained, device, f"{what} float16", share) == batches * found["convolutions"], name
            products = batches * (3 * found["dense"] - (not found["convolutions"]))  # the images need no gradient
            assert count(trained, device, "gemm float16", share) == products, name
            assert count(trained, device, "batchnorm-training float32", share) == batches * found["norms"], name
            assert count(evaluated, device, "convolution float16", tested) == found["convolutions"], name
            assert count(evaluated, device, "gemm float16", tested) == found["dense"], name
            for what in ("convolution", "convolution-data-gradient", "convolution-weight-gradient", "gemm"):
                assert count(trained, device, f"{what} float32", share) == 0, name
                assert count(evaluated, device, f"{what} float32", tested) == 0, name
            assert count(trained, device, "batchnorm-training float16", share) == 0, name
            assert count(trained, device, "convolution float32", tested) == found["convolutions"]  # the validation


def test_gradients_are_looked_at_where_weights_are_updated(facts):
    for name, found in facts["models"].items():
        looked = [(where, number) for where, call, number in found["trained"] if "MultiAllFinite" in call]
        assert looked == [("gpu(0)", work.BATCHES)], name


def test_the_host_reads_no_more_than_in_float32(facts):
    """No step waits for the host to know whether its gradients are finite."""
    for ctx, ways in (("gpu(0)", 1), ("gpu(0),gpu(1)", 2)):
        assert facts["read"][f"float16 on {ctx}"] == facts["read"][f"float32 on {ctx}"] == work.BATCHES * ways


def test_every_optimizer(facts):
    assert facts["optimizers"] == [f"{name} on {ctx}" for ctx in ("gpu(0)", "gpu(0),gpu(1)") for name in OPTIMIZERS]


def test_commands(start, tmp_path: Path):  # noqa: F811
    evaluated = start("-m", "zoo", "evaluate", "lenet5", "--ctx", "gpu(0)", "--dtype", "float16")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "test in float16: " in evaluated.stdout and "the same digit as in float32" in evaluated.stdout
    file = tmp_path / "result.json"
    measured = start("-m", "bench", "--models", "mlp", "--contexts", "cpu", "gpu(0)", "--dtypes", "float32", "float16",
                     "--batch-sizes", 100, "--seconds", 0.1, "--json", file)  # fmt: skip
    assert measured.returncode == 0, measured.stderr
    cells = [(each["cell"]["context"], each["cell"]["dtype"]) for each in json.loads(file.read_text())["results"]]
    assert set(cells) == {("cpu(0)", "float32"), ("gpu(0)", "float32"), ("gpu(0)", "float16")} and len(cells) == 6
    mixed = start("-m", "zoo", "train", "mlp", "--ctx", "cpu,gpu(0)", "--dtype", "float16")
    assert_refused(mixed, "float16 runs on GPUs only: take float32 on a CPU")
