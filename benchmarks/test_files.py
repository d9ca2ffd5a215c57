"""Every model to files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from zoo import weights
from zoo.runtime import mx

FACTS = {"context": "cpu(0)", "dtype": "float32"}
ROUNDS = 25  # of a few milliseconds: the fastest of five is a matter of luck


@pytest.mark.benchmark(group="export to symbol and parameters, verified")
@pytest.mark.parametrize("name", zoo.list_models())
def test_export_symbol(benchmark, record, name: str, tmp_path: Path):
    net = zoo.get_model(name, seed=0)
    paths = benchmark.pedantic(export.to_symbol, args=(net, tmp_path / name), rounds=ROUNDS, warmup_rounds=1)
    record(**FACTS, phase="export", model=name, bytes=sum(path.stat().st_size for path in paths))
    assert_same(export.load_symbol(tmp_path / name), net)


@pytest.mark.benchmark(group="export to ONNX, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_export_onnx(benchmark, record, name: str, tmp_path: Path, mnist):
    path, net = tmp_path / "net.onnx", zoo.get_model(name, seed=0)
    benchmark.pedantic(export.to_onnx, args=(net, path), rounds=ROUNDS, warmup_rounds=1)
    record(**FACTS, phase="export", model=name, bytes=path.stat().st_size)
    assert not export.verify(path, net, mnist.test[:10]).failures


@pytest.mark.benchmark(group="load symbol and parameters, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_load_symbol(benchmark, record, name: str, tmp_path: Path):
    net = zoo.get_model(name, seed=0)
    paths = export.to_symbol(net, tmp_path / name)
    loaded = benchmark.pedantic(export.load_symbol, args=(tmp_path / name,), rounds=ROUNDS, warmup_rounds=1)
    record(**FACTS, phase="load", model=name, bytes=sum(path.stat().st_size for path in paths))
    assert_same(loaded, net)


@pytest.mark.benchmark(group="load parameters, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_load_parameters(benchmark, record, name: str, tmp_path: Path):
    path, net, loaded = tmp_path / "net.params", zoo.get_model(name, seed=0), zoo.get_model(name, seed=1)
    zoo.save_parameters(net, path)
    benchmark.pedantic(zoo.load_parameters, args=(loaded, path), rounds=ROUNDS, warmup_rounds=1)
    record(**FACTS, phase="load", model=name, bytes=path.stat().st_size)
    assert_same(loaded, net)


def assert_same(loaded: mx.gluon.HybridBlock, net: mx.gluon.HybridBlock) -> None:
    """Bit for bit."""
    ours, theirs = (weights.state(each) for each in (loaded, net))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name
