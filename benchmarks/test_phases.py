"""Regression benchmarks over ``bench.measure``: ``pytest benchmarks``, with pytest-benchmark's own options."""

from __future__ import annotations

import pytest

import zoo
from bench.cells import Cell
from bench.measure import Workload
from zoo import lowering
from zoo.runtime import mx

BATCH_SIZE = 200


def _names_and_dtypes() -> list[tuple[str, str]]:
    """Every model in float32, and in what "auto" makes of its dtype here if that is another."""
    auto = {name: lowering.resolve("auto", zoo.get_model(name), [mx.cpu()]) for name in zoo.list_models()}
    return [(name, dtype) for name in auto for dtype in dict.fromkeys(("float32", auto[name]))]


@pytest.fixture(scope="session")
def train() -> zoo.Dataset:
    return zoo.load_mnist().train


@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize("name, dtype", _names_and_dtypes())
def test_batches(benchmark, name: str, dtype: str, phase: str, train: zoo.Dataset):
    """Ten batches of 200 images, one for the slow models, warm, from an idle device to an idle device."""
    workload = Workload(Cell(name, "cpu", dtype, BATCH_SIZE, phase), train)
    batches = 1 if zoo.get_card(name).flops > 10**7 else 10
    done = benchmark.pedantic(workload.run, args=(batches,), rounds=5, warmup_rounds=2)
    assert done.images == batches * BATCH_SIZE
    benchmark.extra_info.update(model=name, phase=phase, batch_size=BATCH_SIZE, context="cpu(0)", dtype=dtype)
    if benchmark.stats is not None:  # None with --benchmark-disable
        benchmark.extra_info["images_per_second"] = done.images / benchmark.stats.stats.median
