"""What passes look for in a graph."""

from __future__ import annotations

from zoo.graph.ir import Graph, Node, Output

# MXNet adds up the gradients of several consumers in place, which operators of an extension cannot.
SHARED = "its input has other consumers, too, and an extension's operator cannot add up their gradients"


class Matcher:
    """Walks along nodes whose only consumer is the next one; for one state of the graph."""

    def __init__(self, graph: Graph) -> None:
        self._consumers = graph.consumers()
        self._heads = {id(node) for node, _ in graph.heads}

    def is_shared(self, node: Node) -> bool:
        """Whether several nodes, or a node and the caller, take what ``node`` puts out."""
        return len(self._consumers.get(id(node), [])) + (id(node) in self._heads) > 1

    def next(self, node: Node) -> Node | None:
        """The one node that takes the output of ``node``, None if there are more or it is the end."""
        following = self._consumers.get(id(node), [])
        return following[0] if len(following) == 1 and id(node) not in self._heads else None

    def adds_gradients(self, output: Output) -> bool:
        """Whether several nodes put out gradients for ``output``."""
        return self.is_shared(output[0]) and has_parameters(output)


def nodes_of(graph: Graph, operator: str) -> list[Node]:
    """All nodes of ``operator``, in a list that stays as it is while the graph changes."""
    return [node for node in graph.nodes() if node.operator == operator]


def activation(node: Node | None) -> str | None:
    """The kind of an activation that this project's kernels compute, None for anything else."""
    kind = node.attributes.get("act_type") if node is not None and node.operator == "Activation" else None
    return kind if kind in ("tanh", "relu") else None


def is_plain_dropout(node: Node) -> bool:
    """Whether ``node`` is a Dropout of single elements that does nothing at inference."""
    always = node.attributes.get("mode", "training") != "training"
    return node.operator == "Dropout" and not always and node.attributes.get("axes", "()") == "()"


def is_halving(node: Node | None) -> bool:
    """Whether ``node`` is a max pooling, 2 x 2 with stride 2."""
    if node is None or node.operator != "Pooling":
        return False
    return (
        node.attributes.get("pool_type", "max") == "max"
        and not node.is_set("global_pool")
        and node.attributes.get("pooling_convention", "valid") == "valid"
        and (node.pair("kernel", 0), node.pair("stride", 1), node.pair("pad", 0)) == ((2, 2), (2, 2), (0, 0))
    )


def has_parameters(output: Output) -> bool:
    """Whether anything that is trained lies behind ``output``, so that a gradient must go through it."""
    return any(node.is_variable and node.name != "data" for node in Graph([output]).nodes())
