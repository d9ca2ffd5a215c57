"""What a network computes at inference, as a graph with one input and without labels."""

from __future__ import annotations

import contextlib
from math import prod

import numpy as np

from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph.ir import Graph, Node, symbol_of
from zoo.models import weights
from zoo.runtime import mx

INPUT = "data"
_MOST_ELEMENTS = 2**31  # of an array of MXNet 1.9.1 as it is distributed
# Operators that exist for their gradients, and what they compute at inference.
_HEADS = {
    "LinearRegressionOutput": "_copy",
    "LogisticRegressionOutput": "sigmoid",
    "MAERegressionOutput": "_copy",
    "SVMOutput": "_copy",
    "SoftmaxOutput": "SoftmaxActivation",
}


def graph_of(net: mx.gluon.HybridBlock) -> Graph:
    """The graph of ``net`` from the variable "data", its training heads replaced by what they compute."""
    try:
        symbol = symbol_of(net)
    except (TypeError, ValueError, AssertionError) as error:
        raise ZooError(f"the network must take one input, the data, and cannot be called with one ({error})") from None
    return without_heads(Graph.of(symbol, casts=False))


def without_heads(graph: Graph) -> Graph:
    """``graph`` with its ``SoftmaxOutput`` and the like replaced, which frees it of their labels."""
    for node in [node for node in graph.nodes() if node.operator in _HEADS]:
        operator, attributes = _HEADS[node.operator], {}
        if node.is_set("preserve_shape"):
            operator = "softmax"  # over the last axis
        elif node.is_set("multi_output"):
            attributes["mode"] = "channel"
        graph.replace(node, (Node(operator, node.name, attributes, node.inputs[:1]), 0))
    return graph


def label_names(graph: Graph) -> set[str]:
    """Variables that nothing but the labels of training heads is taken from."""
    labels: set[str] = set()
    others = {node.name for node, _ in graph.heads}
    for node in graph.nodes():
        for position, (source, _) in enumerate(node.inputs):
            if source.is_variable:
                (labels if node.operator in _HEADS and position == 1 else others).add(source.name)
    return labels - others


def infer_shapes(graph: Graph, shapes: dict[str, tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """The shapes of all outputs of every node of ``graph``, in the order of the nodes, whose names must be unique.

    ``shapes`` are those of the variables. Raises :class:`ZooError` where they do not go together, and for what MXNet
    infers without complaint and then computes outside of its memory.
    """
    internals = graph.symbol().get_internals()
    auxiliary = internals.list_auxiliary_states()
    arguments = {name: shapes[name] for name in internals.list_arguments() if name in shapes}
    try:
        with contextlib.redirect_stdout(None):  # MXNet prints the arguments when it refuses them
            taken, inferred, states = internals.infer_shape(**arguments)
    except mx.base.MXNetError as error:
        raise ZooError(mxnet_reason(error)) from None
    if inferred is None:
        raise ZooError("the shapes do not follow from that of the data")
    for name, shape in zip([*internals.list_arguments(), *auxiliary], [*taken, *states]):
        if shapes.get(name, shape) != shape:  # of some operators MXNet corrects them in silence
            raise ZooError(f"{name} is {shapes[name]} and should be {shape}")
    nodes = list(graph.nodes())
    found: dict[str, list[tuple[int, ...]]] = {node.name: [] for node in nodes}
    for each, shape in zip(internals, inferred):
        found[each.name].append(shape)
    for node in nodes:
        for shape in found[node.name]:
            if prod(shape) >= _MOST_ELEMENTS:
                raise ZooError(f"the {node.operator} {node.name!r} puts out {shape}, more than MXNet can address")
        if node.operator == "Reshape":
            (source, output), (after,) = node.inputs[0], found[node.name]
            before = found[source.name][output]
            if prod(before) != prod(after):
                raise ZooError(f"the Reshape {node.name!r} makes {after} of {before}, another number of elements")
    return [found[node.name] for node in nodes]


def name_uniquely(graph: Graph) -> None:
    """Number the operators of ``graph`` that share a name."""
    taken = {node.name for node in graph.nodes() if node.is_variable}
    for node in [node for node in graph.nodes() if not node.is_variable]:
        name, number = node.name, 1
        while node.name in taken:
            number += 1
            node.name = f"{name}_{number}"
        taken.add(node.name)


def finite_state(net: mx.gluon.HybridBlock) -> dict[str, np.ndarray]:
    """:func:`zoo.models.weights.state`; :class:`ZooError` names a weight that holds what is no finite number."""
    arrays = weights.state(net)
    for name, array in arrays.items():
        if not np.isfinite(weights.widened(array)).all():
            raise ZooError(f"the network cannot be exported: {name.split(':')[1]} holds values that are not finite")
    return arrays
