"""Which tensors of a network become integers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from zoo.graph.ir import Graph, Node

# What runtimes compute on integers: moving values, whose steps stay the same, and combining them, which has new ones.
_MOVING = {
    "BlockGrad", "Dropout", "Flatten", "Reshape", "SwapAxis", "_copy", "expand_dims", "slice", "slice_axis", "squeeze",
    "transpose",
}  # fmt: skip
_COMBINING = {"Concat", "_contrib_AdaptiveAvgPooling2D", "broadcast_add", "elemwise_add"}


def flatten(graph: Graph, shapes: Mapping[str, list[tuple[int, ...]]]) -> None:
    """Make the flattening in dense layers an operator of its own, after which there can be integers."""
    for node in list(graph.nodes()):
        source, output = node.inputs[0] if node.inputs else (node, 0)
        if node.operator == "FullyConnected" and node.is_set("flatten", True) and len(shapes[source.name][output]) != 2:
            node.inputs[0] = (Node("Flatten", f"{node.name}_flatten", {}, [(source, output)]), 0)


def layers(graph: Graph, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Return the convolutions and dense layers of ``graph`` that can compute with integers, in order."""
    heads = {id(node) for node, _ in graph.heads}  # outputs remain real numbers
    return [
        node.name for node in graph.nodes()
        if node.operator in ("Convolution", "FullyConnected")
        and all(each.is_variable and each.name in arrays for each, _ in node.inputs[1:])
        and _takes_first(node) and node.inputs[0][0].name not in arrays and id(node.inputs[0][0]) not in heads
    ]  # fmt: skip


def tensors(graph: Graph, arrays: Mapping[str, np.ndarray], chosen: Collection[str]) -> dict[str, str]:
    """Return the nodes whose outputs become integers when the layers ``chosen`` do.

    Each comes with the node that has its range: another one where values are only moved. Outputs of the network remain
    real numbers.
    """
    consumers, heads = graph.consumers(), {id(node) for node, _ in graph.heads}
    wanted: set[int] = set()

    def take(node: Node) -> None:
        if id(node) not in wanted and id(node) not in heads and node.name not in arrays:
            wanted.add(id(node))
            if _moves(node) and _takes_first(node):
                take(node.inputs[0][0])

    def last(node: Node) -> Node:
        """Return the ReLU after ``node``, which the range of integers computes, or the node itself."""
        following = consumers.get(id(node), [])
        return following[0] if len(following) == 1 and _is_relu(following[0]) and id(node) not in heads else node

    for node in graph.nodes():
        if node.name in chosen:
            take(node.inputs[0][0])
            if node.operator == "Convolution":  # a dense layer computes real numbers as fast
                take(last(node))
    found: dict[str, str] = {}
    for node in graph.nodes():
        sources = [source for source, _ in node.inputs]
        if (_moves(node) or _combines(node)) and _takes_first(node) and all(each.name in found for each in sources):
            take(node if _moves(node) else last(node))
        if id(node) in wanted:
            found[node.name] = found.get(sources[0].name, node.name) if _moves(node) else node.name
    return found


def _moves(node: Node) -> bool:
    return node.operator in _MOVING or (node.operator == "Pooling" and node.attributes.get("pool_type", "max") == "max")


def _combines(node: Node) -> bool:
    return node.operator in _COMBINING or (node.operator == "Pooling" and node.attributes.get("pool_type") == "avg")


def _is_relu(node: Node) -> bool:
    return node.operator == "relu" or node.attributes.get("act_type") == "relu"


def _takes_first(node: Node) -> bool:
    """Whether ``node`` takes only first outputs of others: those are the ones that become integers."""
    return not any(output for _, output in node.inputs)
