"""What passes do to a graph, what they leave alone, and that they report both."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import BFLOAT16, assert_refused
from networks import execution

import zoo
from zoo import kernels
from zoo.graph import lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import Execution
from zoo.graph.explanation import explain
from zoo.graph.ir import Graph, symbol_of
from zoo.graph.passes import chains, convolutions, dropout
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import SHARED
from zoo.graph.shapes import ranks
from zoo.runtime import mx

nn = mx.gluon.nn


def graph_of(*layers: mx.gluon.HybridBlock, shape: tuple = (4, 8, 8)) -> tuple[Graph, dict[str, int]]:
    net = nn.HybridSequential(prefix="")
    with net.name_scope():
        net.add(*layers)
    net.initialize()
    net(mx.nd.zeros((1, *shape)))
    graph = Graph.of(symbol_of(net))
    return graph, ranks(graph, shape)


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes() if not node.is_variable]


def test_a_chain_is_one_node():
    layers = (nn.Activation("tanh"), nn.Dropout(0.2), nn.BatchNorm(), nn.Activation("relu"), nn.MaxPool2D())
    graph, dimensions = graph_of(*layers)
    (decision,) = chains.fuse(graph, dimensions)
    assert decision.is_done and len(decision.layers) == 5 and operators(graph) == ["zoo_chain"]


@pytest.mark.parametrize("norm, shape, reason", [
    (lambda: nn.BatchNorm(), (7,), "vectors"),
    (lambda: nn.BatchNorm(axis=3), (4, 8, 8), "axis 3"),
    (lambda: nn.BatchNorm(use_global_stats=True), (4, 8, 8), "running statistics"),
], ids=["dense", "axis", "global"])  # fmt: skip
def test_a_norm_that_is_left_alone_says_why(norm, shape: tuple, reason: str):
    graph, dimensions = graph_of(norm(), shape=shape)
    (decision,) = chains.fuse(graph, dimensions)
    assert reason in decision.reason and operators(graph) == ["BatchNorm"]


@pytest.mark.parametrize("layer, reason", [
    (lambda: nn.Conv2D(4, 3, strides=2), "strides"),
    (lambda: nn.Conv2D(4, 3, dilation=2), "dilated"),
    (lambda: nn.Conv2D(4, 3, groups=2), "2 groups"),
    (lambda: nn.Conv2D(4, 1, padding=1), "padding (1, 1)"),
    (lambda: nn.Dense(4, flatten=False), "flatten"),
], ids=["strides", "dilation", "groups", "padding", "dense"])  # fmt: skip
def test_a_layer_that_is_left_alone_says_why(layer, reason: str):
    graph, dimensions = graph_of(layer())
    (decision,) = convolutions.lower(graph, dimensions)
    assert reason in decision.reason and "zoo_convolution" not in operators(graph)


def test_what_is_shared_is_left_alone_and_says_so():
    data, weight = mx.sym.var("data"), mx.sym.var("weight")
    shared = mx.sym.Convolution(data, weight, kernel=(1, 1), num_filter=4, no_bias=True, name="first")
    graph = Graph.of(mx.sym.BatchNorm(shared, name="norm") + mx.sym.Dropout(shared, name="drop"))
    decisions = [*chains.fuse(graph, ranks(graph, (4, 8, 8))), *dropout.lower(graph)]
    assert decisions == [Decision("norm", ("norm",), SHARED), Decision("drop", ("drop",), SHARED)]


def test_a_network_on_amx_is_one_operator():
    graph, dimensions = graph_of(nn.Conv2D(8, 3, activation="relu"), nn.BatchNorm(), nn.MaxPool2D(), nn.Dense(10))
    convolutions.lower(graph, dimensions, for_inference=True)
    (joined,) = convolutions.join(graph)
    assert operators(graph) == ["zoo_network"] and len(joined.layers) == 2


@pytest.mark.parametrize("dtype", ["float32", *BFLOAT16])
@pytest.mark.parametrize("phase", ["train", "infer"])
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_layer_is_explained_once(name: str, phase: str, dtype: str):
    net = zoo.get_model(name)
    expected = {node.name for node in Graph.of(symbol_of(net)).nodes() if not node.is_variable}
    explained = [layer for row in explain(net, execution(dtype), phase).rows for layer in row.layers]
    assert sorted(explained) == sorted(expected)


@pytest.mark.parametrize("name", zoo.list_models())
def test_lowering_for_amx_loses_no_layer(name: str):
    """Runs on any processor, since it looks only at the graph."""
    graph = Graph.of(symbol_of(zoo.get_model(name)))
    expected = {node.name for node in graph.nodes() if node.operator in ("Convolution", "FullyConnected", "Flatten")}
    decisions = convolutions.lower(graph, ranks(graph, INPUT_SHAPE))
    assert expected <= {layer for each in decisions for layer in each.layers}


@pytest.mark.parametrize("phase, operator", [("train", "zoo_convolution"), ("infer", "zoo_network")])
def test_layers_on_amx_are_explained(phase: str, operator: str):
    if not execution("bfloat16").amx:
        pytest.skip("needs AMX")
    found = explain(zoo.get_model("cnn7"), execution("bfloat16"), phase)
    assert {row.dtype for row in found.rows if row.operator == operator} == {"bfloat16"} and not found.remarks


def test_int8_is_not_trained():
    with pytest.raises(zoo.ZooError, match="int8 is for inference only"):
        lowering.training(zoo.get_model("mlp"), Execution.of(zoo.get_model("mlp"), None, "int8"))
    with pytest.raises(zoo.ZooError, match="int8 is quantized by MXNet"):
        lowering.inference(zoo.get_model("mlp"), Execution.of(zoo.get_model("mlp"), None, "int8"))


def test_the_command_explains(run_here):
    done = run_here("zoo", "explain", "cnn7")
    assert done.returncode == 0 and done.stdout.startswith("cnn7, train: ")
    assert ("bn1_fwd pool1_fwd" in done.stdout) == kernels.available().usable
    assert_refused(run_here("zoo", "explain", "cnn9"), "no model 'cnn9'")


def test_operators_may_share_a_name():
    """Such as a name from a file, and one whose numbering starts from 0 again."""
    data = mx.sym.var("data")
    flat = mx.sym.Reshape(mx.sym.Reshape(data, shape=(0, -1), name="same"), shape=(0, 4, 8, 8), name="same")
    net = lowering.block(mx.sym.FullyConnected(mx.sym.Activation(flat, act_type="relu"), num_hidden=10))
    net.initialize()
    pixels = mx.nd.ones((2, 4, 8, 8))
    expected = net(pixels).asnumpy()
    trained = lowering.for_training(net, execution("float32"), (4, 8, 8))
    np.testing.assert_allclose(trained(pixels).asnumpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
