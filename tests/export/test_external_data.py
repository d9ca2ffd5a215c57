"""ONNX files that keep their weights in a file beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from export import runtimes, verification
from export.onnx import external_data
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def net() -> mx.gluon.HybridBlock:
    return zoo.get_model("mlp", seed=0)


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return np.random.default_rng(0).random((8, 1, 28, 28), np.float32)


def test_weights_beside_the_file(net, data, tmp_path: Path):
    path = export.to_onnx(net, tmp_path / "it.onnx", external=True)
    assert {each.name for each in tmp_path.iterdir()} == {"it.onnx", "it.onnx.data"}
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    entries = [{each.key: each.value for each in tensor.external_data} for tensor in tensors if tensor.external_data]
    assert len(entries) > 1 and all(int(each["offset"]) % 4096 == 0 for each in entries)
    assert path.stat().st_size < 10_000 < path.with_name("it.onnx.data").stat().st_size
    found = export.verify(path, net, data)
    assert not found.failures and "cannot run it" not in str(found), str(found)
    assert {each.runtime for each in found.parities} == {each.name for each in runtimes.RUNTIMES if each.is_installed}


def test_weights_that_are_too_large_for_one_file(net, data, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(external_data, "LARGEST", 1000)
    path = export.to_onnx(net, tmp_path / "it.onnx")
    assert {each.name for each in tmp_path.iterdir()} == {"it.onnx", "it.onnx.data"}
    in_one = onnx.load(path)
    monkeypatch.undo()
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in in_one.graph.initializer}
    for each in onnx.load(export.to_onnx(net, tmp_path / "one.onnx")).graph.initializer:
        assert np.array_equal(onnx.numpy_helper.to_array(each), weights[each.name])


def test_files_of_others_in_any_name(net, data, tmp_path: Path, monkeypatch):
    """Even one that is called as the copy that is verified would be."""
    model = onnx.load(export.to_onnx(net, tmp_path / "it.onnx"))
    onnx.save(model, tmp_path / "it.onnx", save_as_external_data=True, location="model.onnx", size_threshold=0)
    monkeypatch.setattr(verification, "RUNTIMES", runtimes.RUNTIMES[:1])
    assert not export.verify(tmp_path / "it.onnx", net, data).failures


@pytest.mark.parametrize("location", ["../weights", "/etc/passwd", "folder/weights", "", "..", ".", "./weights"])
def test_places_that_are_not_beside_the_file(location: str, net, data, tmp_path: Path):
    path = export.to_onnx(net, tmp_path / "folder" / "it.onnx", external=True)
    (tmp_path / "weights").write_bytes((tmp_path / "folder/it.onnx.data").read_bytes())
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(zoo.ZooError, match="it.onnx keeps weights in .*, and only a file beside it is read"):
        export.verify(path, net, data)


def test_places_in_attributes_are_looked_at(net, data, tmp_path: Path):
    model = onnx.load(export.to_onnx(net, tmp_path / "it.onnx"))
    tensor = onnx.TensorProto(
        name="secret", dims=[4], data_type=1, data_location=onnx.TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key="location", value="../secret")],
    )  # fmt: skip
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=tensor))
    (tmp_path / "it.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(zoo.ZooError, match="keeps weights in '../secret'"):
        export.verify(tmp_path / "it.onnx", net, data)


def test_weights_that_are_missing_or_cut(net, data, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(verification, "RUNTIMES", runtimes.RUNTIMES[:1])
    path = export.to_onnx(net, tmp_path / "it.onnx", external=True)
    weights = tmp_path / "it.onnx.data"
    weights.write_bytes(weights.read_bytes()[:5000])
    for use in (lambda: export.from_onnx(path), lambda: export.verify(path, net, data)):
        with pytest.raises(zoo.ZooError, match="keeps the weights .* in it.onnx.data, where they are not whole"):
            use()
    weights.unlink()
    with pytest.raises(zoo.ZooError, match="cannot read .*it.onnx.data: No such file"):
        export.verify(path, net, data)
