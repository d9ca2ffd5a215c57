"""Every model in every phase of training and prediction, each with a check of what it computes."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

import zoo
from bench.cells import Cell
from bench.measure import Workload
from zoo.graph.execution import Execution
from zoo.runtime import mx

BATCH_SIZE = 200
EPOCH_BATCH_SIZE = 50
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.03}  # of the logits, relative to the largest one


def _names_and_dtypes() -> list[tuple[str, str]]:
    """Every model in float32, and in the dtype that "auto" chooses here if that is another."""
    auto = {name: Execution.of(zoo.get_model(name), dtype="auto").dtype for name in zoo.list_models()}
    return [(name, dtype) for name in auto for dtype in dict.fromkeys(("float32", auto[name]))]


def _facts(cell: Cell) -> dict:
    return {**asdict(cell), "context": "cpu(0)"}


def _is_slow(name: str) -> bool:
    return zoo.get_card(name).flops > 10**7


@pytest.mark.benchmark(group=f"forward, batches of {BATCH_SIZE}")
@pytest.mark.parametrize("name, dtype", _names_and_dtypes())
def test_forward(measure, record, name: str, dtype: str, mnist):
    """Batches of 200 images, warm, from an idle device to an idle device; the logits match the plain network's."""
    cell = Cell(name, "cpu", dtype, BATCH_SIZE, "infer")
    workload, batches = Workload(cell, mnist.train), 1 if _is_slow(name) else 20
    done = measure(workload.run, batches, warmup_rounds=2)
    assert done.images == batches * BATCH_SIZE
    record(done.images, **_facts(cell))
    (logits,) = workload.results(np.arange(BATCH_SIZE))
    pixels = mx.nd.array(mnist.train.images[:BATCH_SIZE, None] * np.float32(mnist.train.scale))
    plain = zoo.get_model(name, seed=0)(pixels).asnumpy()
    assert np.abs(logits - plain).max() <= TOLERANCES[dtype] * np.abs(plain).max()


@pytest.mark.benchmark(group=f"training step, batches of {BATCH_SIZE}")
@pytest.mark.parametrize("name, dtype", _names_and_dtypes())
def test_training_step(measure, record, name: str, dtype: str, mnist):
    """Batches of 200 images forward, backward and updated; a batch seen before has a smaller loss afterwards."""
    cell = Cell(name, "cpu", dtype, BATCH_SIZE, "train")
    workload, batches = Workload(cell, mnist.train), 1 if _is_slow(name) else 10
    (before,) = workload.results(np.arange(BATCH_SIZE))
    done = measure(workload.run, batches, warmup_rounds=2)
    assert done.images == batches * BATCH_SIZE
    record(done.images, **_facts(cell))
    (after,) = workload.results(np.arange(BATCH_SIZE))
    assert after.loss < before.loss


@pytest.mark.benchmark(group=f"epoch, batches of {EPOCH_BATCH_SIZE}")
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", zoo.list_models())
def test_epoch(request, measure, record, name: str, mnist):
    """One epoch over a part of MNIST in the dtype that is faster here, after which the network recognises digits."""
    dtype = Execution.of(zoo.get_model(name), dtype="auto").dtype
    cell = Cell(name, "cpu", dtype, EPOCH_BATCH_SIZE, "train")
    slow = _is_slow(name)
    if slow and request.config.getoption("benchmark_disable"):
        pytest.skip("takes a minute; without a measurement, tests/training shows as much")
    few = zoo.get_card(name).parameters < 5000  # networks with so few learn more slowly
    part = mnist.train[: 3000 if slow else 24_000 if few else 8000]
    trained: list[Workload] = []

    def prepare() -> None:
        trained[:] = [Workload(cell, part)]
        trained[0].run(1)  # compiles and allocates

    done = measure(lambda: trained[0].epoch(), setup=prepare, warmup_rounds=int(not (slow or few)), fewest=3)
    assert done.images == len(part)
    accuracy = zoo.evaluate(trained[0].net, mnist.train[-1000:]).accuracy
    record(done.images, **_facts(cell), validation_accuracy=accuracy)
    assert accuracy > 0.75
