"""What is verified beyond a row of classes for each item: several inputs, integers, and outputs of other shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from export import runtimes, verification
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, numpy_helper, ELEMENTS = onnx.helper, onnx.numpy_helper, onnx.TensorProto
ITEMS = np.random.default_rng(0).random((10, 6, 4), np.float32)


class Lookup(mx.gluon.HybridBlock):
    """Rows of a table by numbers, and data that are added to them: two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.table = self.params.get("table", shape=(9, 4))

    def hybrid_forward(self, F, ids, data, table):
        rows = F.take(table, ids)
        return F.broadcast_add(rows, F.expand_dims(data, 1)), rows


def save_lookup(net: Lookup, path: Path, ids: int = ELEMENTS.INT64, batch: str | int = "n") -> Path:
    """Write what the network computes as ONNX, by hand."""
    table = numpy_helper.from_array(net.table.data().asnumpy(), "table")
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Unsqueeze", ["data", "one"], ["wide"]),
        helper.make_node("Add", ["rows", "wide"], ["sum"]),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", ids, (batch, 3)),
        helper.make_tensor_value_info("data", ELEMENTS.FLOAT, ("n", 4)),
    ]
    outputs = [helper.make_tensor_value_info(name, ELEMENTS.FLOAT, ("n", 3, 4)) for name in ("sum", "rows")]
    graph = helper.make_graph(nodes, "it", inputs, outputs, [table, numpy_helper.from_array(np.array([1]), "one")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def lookup() -> Lookup:
    net = Lookup()
    net.initialize(mx.init.Normal(1))
    return net


def lookup_data(count: int = 10) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {"data": random.random((count, 4), np.float32), "ids": random.integers(0, 9, (count, 3))}


@pytest.mark.parametrize("ids, batch", [(ELEMENTS.INT64, "n"), (ELEMENTS.INT32, 4)], ids=str)
def test_several_inputs_by_their_names(ids: int, batch: str | int, lookup, tmp_path: Path, monkeypatch):
    path = save_lookup(lookup, tmp_path / "it.onnx", ids, batch)
    if batch == 4:
        monkeypatch.setattr(verification, "RUNTIMES", runtimes.RUNTIMES[:1])
    found = export.verify(path, lookup, lookup_data())
    assert not found.failures, str(found)
    assert {each.runtime: each.items for each in found.parities}["ONNX Runtime"] == 10


DATA = {
    "an array": (ITEMS, "it.onnx has 2 inputs, ids, data: the data must be a mapping from these names"),
    "other names": ({"ids": ITEMS, "more": ITEMS}, "has the inputs ids, data, and the data are for ids, more"),
    "none": ({}, "the data are for none"),
    "names of others": ({1: ITEMS, "data": ITEMS}, "the data are for 1, data"),
    "other counts": ({**lookup_data(), "data": np.zeros((3, 4))}, "have 10 items for ids, and another number for data"),
    "no integers": ({**lookup_data(), "ids": np.zeros((10, 3))}, "takes int32 numbers for ids"),
    "too large": ({**lookup_data(), "ids": np.full((10, 3), 2**40)}, "takes int32 numbers for ids"),
    "other shapes": ({**lookup_data(), "ids": np.zeros((10, 2), int)}, "data of the shape (n, 3)"),
}


@pytest.mark.parametrize("data, words", DATA.values(), ids=DATA)
def test_data_that_several_inputs_do_not_take(data: object, words: str, lookup, tmp_path: Path):
    path = save_lookup(lookup, tmp_path / "it.onnx", ELEMENTS.INT32)
    with pytest.raises(zoo.ZooError) as caught:
        export.verify(path, lookup, data)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_network_with_other_inputs(lookup, tmp_path: Path):
    path = save_lookup(lookup, tmp_path / "it.onnx")
    for other in (zoo.get_model("nano", seed=0), mx.gluon.nn.Flatten()):
        with pytest.raises(zoo.ZooError, match="must take 2 inputs, ids, data, and cannot be called with them"):
            export.verify(path, other, lookup_data())
    with pytest.raises(zoo.ZooError, match="cannot compute 1 of these items: .*has not been initialized"):
        export.verify(path, Lookup(), lookup_data())
    with pytest.raises(zoo.ZooError, match="must be a HybridBlock"):
        export.verify(path, "nano", lookup_data())


class Reshaped(mx.gluon.HybridBlock):
    """As detectors have it: a row for each box, and none for each item."""

    def hybrid_forward(self, F, data):
        return F.reshape(data, (-1, 6))


class OverTheBatch(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, data):
        return F.mean(data, axis=0)


@pytest.mark.parametrize("net, batch", [(Reshaped(), None), (OverTheBatch(), 4)], ids=["reshaped", "over the batch"])
def test_outputs_that_are_not_one_for_each_item(net, batch: int | None, tmp_path: Path, monkeypatch):
    path = export.to_onnx(net, tmp_path / "it.onnx", input_shape=(6, 4), batch=batch)
    monkeypatch.setattr(verification, "RUNTIMES", [runtimes.RUNTIMES[0], runtimes.RUNTIMES[-1]])
    found = export.verify(path, net, ITEMS)
    assert not found.failures, str(found)
    assert all(each.items == 10 and each.same is None and each.refusal is None for each in found.parities)
    monkeypatch.setattr(verification, "RUNTIMES", runtimes.RUNTIMES[:1])
    (failure,) = export.verify(path, mx.gluon.nn.HybridLambda(lambda F, data: net(data) * 1.01), ITEMS).failures
    assert failure.startswith("ONNX Runtime differs by 0.0")


class ArcFace(mx.gluon.HybridBlock):
    """The cosines of an embedding and of weights that are normalized in the graph."""

    def __init__(self):
        super().__init__()
        self.weight = self.params.get("weight", shape=(10, 784))

    def hybrid_forward(self, F, data, weight):
        return F.FullyConnected(
            F.L2Normalization(F.flatten(data)), F.L2Normalization(weight), num_hidden=10, no_bias=True
        )


def test_weights_that_are_computed_in_the_graph(tmp_path: Path):
    """OpenCV's dnn ends its process on them."""
    net = ArcFace()
    net.initialize(mx.init.Xavier())
    path = export.to_onnx(net, tmp_path / "it.onnx")
    found = export.verify(path, net, np.random.default_rng(0).random((8, 1, 28, 28), np.float32))
    assert not found.failures and found.parities[0].same == 8, str(found)
