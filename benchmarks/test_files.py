"""Saves every model to files, and loads it back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from zoo.models import weights
from zoo.runtime import mx

FACTS = {"context": "cpu(0)", "dtype": "float32"}


@pytest.mark.benchmark(group="export to symbol and parameters, verified")
@pytest.mark.parametrize("name", zoo.list_models())
def test_export_symbol(measure, record, name: str, tmp_path: Path):
    net = zoo.get_model(name, seed=0)
    paths = measure(export.to_symbol, net, tmp_path / name)
    record(**FACTS, phase="export", model=name, bytes=sum(path.stat().st_size for path in paths))
    assert_same(export.load_symbol(tmp_path / name), net)


@pytest.mark.benchmark(group="export to ONNX, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_export_onnx(measure, record, name: str, tmp_path: Path, mnist):
    path, net = tmp_path / "net.onnx", zoo.get_model(name, seed=0)
    measure(export.to_onnx, net, path)
    record(**FACTS, phase="export", model=name, bytes=path.stat().st_size)
    assert not export.verify(path, net, mnist.test[:10]).failures


@pytest.mark.benchmark(group="load symbol and parameters, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_load_symbol(measure, record, name: str, tmp_path: Path):
    net = zoo.get_model(name, seed=0)
    paths = export.to_symbol(net, tmp_path / name)
    loaded = measure(export.load_symbol, tmp_path / name)
    record(**FACTS, phase="load", model=name, bytes=sum(path.stat().st_size for path in paths))
    assert_same(loaded, net)


@pytest.mark.benchmark(group="load parameters, checked")
@pytest.mark.parametrize("name", zoo.list_models())
def test_load_parameters(measure, record, name: str, tmp_path: Path):
    path, net, loaded = tmp_path / "net.params", zoo.get_model(name, seed=0), zoo.get_model(name, seed=1)
    zoo.save_parameters(net, path)
    measure(zoo.load_parameters, loaded, path)
    record(**FACTS, phase="load", model=name, bytes=path.stat().st_size)
    assert_same(loaded, net)


def assert_same(loaded: mx.gluon.HybridBlock, net: mx.gluon.HybridBlock) -> None:
    """Bit for bit."""
    ours, theirs = (weights.state(each) for each in (loaded, net))
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name
