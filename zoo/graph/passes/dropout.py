"""Dropout: removed at inference, and computed by this project's kernel in training.

    Dropout   becomes   nothing   (inference)   or   zoo_dropout   (training)

The kernel draws its masks from Philox4x32-10, a function of seed and position alone, so masks are the same for any
number of threads and are not stored for the backward pass. Candidates are the Dropouts.
"""

from __future__ import annotations

from zoo.graph.ir import Graph, Node
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import SHARED, Matcher, is_plain_dropout, nodes_of

_NOT_PLAIN = "it drops at inference, too, or whole axes at once"


def remove(graph: Graph) -> list[Decision]:
    """Remove all Dropouts that do nothing at inference."""
    decisions = []
    for node in nodes_of(graph, "Dropout"):
        plain = is_plain_dropout(node)
        if plain:
            graph.replace(node, node.inputs[0])
        decisions.append(Decision(node.name, (node.name,), "" if plain else _NOT_PLAIN))
    return decisions


def lower(graph: Graph) -> list[Decision]:
    """Replace all Dropouts that the kernel can compute."""
    return [_lower(graph, node) for node in nodes_of(graph, "Dropout")]


def _lower(graph: Graph, node: Node) -> Decision:
    if not is_plain_dropout(node):
        return Decision(node.name, (node.name,), _NOT_PLAIN)
    if Matcher(graph).is_shared(node.inputs[0][0]):
        return Decision(node.name, (node.name,), SHARED)
    lowered = Node("zoo_dropout", node.name, {"dropout": str(node.get("p", 0.5))}, list(node.inputs))
    graph.replace(node, (lowered, 0))
    return Decision(node.name, (node.name,))
