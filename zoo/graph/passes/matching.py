"""The patterns that passes look for in a graph."""

from __future__ import annotations

from zoo.graph.ir import Graph, Node, Output

# MXNet sums the gradients of several consumers in place, which an extension's operators cannot.
SHARED = "its input has other consumers, too, and an extension's operator cannot add up their gradients"


class Matcher:
    """Follows chains of nodes with a single consumer; valid until the graph changes."""

    def __init__(self, graph: Graph) -> None:
        self._consumers = graph.consumers()
        self._heads = {id(node) for node, _ in graph.heads}

    def is_shared(self, node: Node) -> bool:
        """Whether several nodes, or a node and the caller, take the output of ``node``."""
        return len(self._consumers.get(id(node), [])) + (id(node) in self._heads) > 1

    def next(self, node: Node) -> Node | None:
        """Return the only node that takes the output of ``node``; None if there are more or the graph ends."""
        following = self._consumers.get(id(node), [])
        return following[0] if len(following) == 1 and id(node) not in self._heads else None

    def adds_gradients(self, output: Output) -> bool:
        """Whether several nodes compute gradients of ``output``."""
        return self.is_shared(output[0]) and has_parameters(output)


def nodes_of(graph: Graph, operator: str) -> list[Node]:
    """Return all nodes of ``operator``, in a list that is unaffected by changes of the graph."""
    return [node for node in graph.nodes() if node.operator == operator]


def activation(node: Node | None) -> str | None:
    """Return the kind of an activation that this project's kernels compute, None for anything else."""
    kind = node.get("act_type") if node is not None and node.operator == "Activation" else None
    return kind if kind in ("tanh", "relu") else None


def is_plain_dropout(node: Node) -> bool:
    """Whether ``node`` is an elementwise Dropout that does nothing at inference."""
    always = node.get("mode", "training") != "training"
    return node.operator == "Dropout" and not always and not node.integers("axes")


def is_halving(node: Node | None) -> bool:
    """Whether ``node`` is a max pooling, 2 x 2 with stride 2."""
    if node is None or node.operator != "Pooling":
        return False
    return (
        node.get("pool_type", "max") == "max"
        and not node.is_set("global_pool")
        and node.get("pooling_convention", "valid") == "valid"
        and (node.pair("kernel", 0), node.pair("stride", 1), node.pair("pad", 0)) == ((2, 2), (2, 2), (0, 0))
    )


def has_parameters(output: Output) -> bool:
    """Whether ``output`` depends on anything that is trained, so that it needs a gradient."""
    return any(node.is_variable and node.name != "data" for node in Graph([output]).nodes())
