"""From files to batches of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.runtime import mx
from zoo.training import Predictor

BATCH_SIZE = 200
PACKED = 1000


@pytest.fixture(scope="module")
def packed(mnist, tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp("packed") / "digits"
    zoo.pack(prefix, mnist.train[:PACKED], encoding=".png", seed=None, progress=False)
    return prefix.with_suffix(".rec")


@pytest.mark.benchmark(group="data: files, read and checked")
def test_idx(measure, record):
    loaded = measure(zoo.load_mnist)
    assert (len(loaded.train), len(loaded.test)) == (60_000, 10_000)
    record(70_000, phase="data", context="cpu(0)", dtype="uint8")


@pytest.mark.benchmark(group="data: files, read and checked")
def test_recordio(measure, record, packed: Path, mnist):
    loaded = measure(zoo.load_records, packed)
    assert (loaded.images == mnist.train.images[:PACKED]).all()
    assert (loaded.labels == mnist.train.labels[:PACKED]).all()
    record(PACKED, phase="data", context="cpu(0)", dtype="uint8")


@pytest.mark.benchmark(group=f"data: batches of {BATCH_SIZE} in random order")
def test_pixels(measure, record, mnist):
    """What every network's batches begin with: a predictor whose network only passes the pixels on."""
    identity = Predictor(mx.gluon.nn.Flatten(), mnist.train, [mx.cpu()], BATCH_SIZE)
    order = np.random.default_rng(0).permutation(len(mnist.train))[: 50 * BATCH_SIZE]
    batches = measure(lambda: list(identity.run(order)), warmup_rounds=2)
    expected = mnist.train.images[order].reshape(-1, 784) * np.float32(mnist.train.scale)
    assert (np.concatenate(batches) == expected).all()
    record(len(order), phase="data", batch_size=BATCH_SIZE, context="cpu(0)", dtype="float32")
