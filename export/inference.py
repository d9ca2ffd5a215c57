"""The inference graph of a network, with one input and without labels."""

from __future__ import annotations

import numpy as np

from zoo.errors import ZooError
from zoo.graph.ir import Graph, Node, symbol_of
from zoo.models import weights
from zoo.runtime import mx

INPUT = "data"
# Training heads: operators that exist for their gradients, and what they compute at inference.
_HEADS = {
    "LinearRegressionOutput": "_copy",
    "LogisticRegressionOutput": "sigmoid",
    "MAERegressionOutput": "_copy",
    "SVMOutput": "_copy",
    "SoftmaxOutput": "SoftmaxActivation",
}


def graph_of(net: mx.gluon.HybridBlock) -> Graph:
    """Return the graph of ``net`` from the variable "data", with training heads replaced by what they compute."""
    try:
        symbol = symbol_of(net)
    except (TypeError, ValueError, AssertionError) as error:
        raise ZooError(f"the network must take one input, the data, and cannot be called with one ({error})") from None
    return without_heads(Graph.of(symbol, casts=False))


def without_heads(graph: Graph) -> Graph:
    """Replace ``SoftmaxOutput`` and similar heads of ``graph``, which removes their labels; returns ``graph``."""
    for node in [node for node in graph.nodes() if node.operator in _HEADS]:
        operator, attributes = _HEADS[node.operator], {}
        if node.is_set("preserve_shape"):
            operator = "softmax"  # over the last axis
        elif node.is_set("multi_output"):
            attributes["mode"] = "channel"
        graph.replace(node, (Node(operator, node.name, attributes, node.inputs[:1]), 0))
    return graph


def label_names(graph: Graph) -> set[str]:
    """Return the variables that are used only as labels of training heads."""
    labels: set[str] = set()
    others = {node.name for node, _ in graph.heads}
    for node in graph.nodes():
        for position, (source, _) in enumerate(node.inputs):
            if source.is_variable:
                (labels if node.operator in _HEADS and position == 1 else others).add(source.name)
    return labels - others


def finite_state(net: mx.gluon.HybridBlock) -> dict[str, np.ndarray]:
    """Return :func:`zoo.models.weights.state`; :class:`ZooError` names a weight with values that are not finite."""
    arrays = weights.state(net)
    weights.check_finite(arrays, "the network cannot be exported")
    return arrays
