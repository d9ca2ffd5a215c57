"""What a network puts out: probabilities, after a softmax, or logits."""

from __future__ import annotations

from zoo.errors import ZooError
from zoo.graph import lowering
from zoo.graph.ir import Graph, Node, Output, symbol_of
from zoo.runtime import mx

LOGITS, PROBABILITIES = "logits", "probabilities"
_SOFTMAX = ("Softmax", "SoftmaxActivation", "SoftmaxOutput", "_npx_softmax", "softmax")
_PASSING = (  # they keep the numbers as they are
    "BlockGrad", "Cast", "Flatten", "Reshape", "_copy", "_np_copy", "_np_reshape", "_np_squeeze", "_npx_reshape",
    "amp_cast", "expand_dims", "squeeze",
)  # fmt: skip


def output_kind(net: mx.gluon.HybridBlock) -> str:
    """Return "probabilities" if every output of ``net`` comes from a softmax, and "logits" otherwise."""
    if not isinstance(net, mx.gluon.HybridBlock):
        raise ZooError(f"the network must be a HybridBlock of Gluon's, and is of the type {type(net).__name__}")
    return PROBABILITIES if are_probabilities(Graph.of(symbol_of(net))) else LOGITS


def are_probabilities(graph: Graph) -> bool:
    """Whether every output of ``graph`` comes from a softmax."""
    return all(origin(head).operator in _SOFTMAX for head in graph.heads)


def logits_of(net: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
    """Return a block that shares the parameters of ``net`` and puts out what its last softmax takes.

    That is ``net`` itself if it puts out no probabilities.
    """
    graph = Graph.of(symbol_of(net))
    if not are_probabilities(graph):
        return net
    for softmax in {id(node): node for node in map(origin, graph.heads)}.values():
        temperature = softmax.attributes.get("temperature", "None")
        if temperature == "None":
            graph.replace(softmax, softmax.inputs[0])
        else:
            scaled = Node("_div_scalar", softmax.name, {"scalar": temperature}, softmax.inputs[:1])
            graph.replace(softmax, (scaled, 0))
    return lowering.block(graph.symbol(), net)


def origin(output: Output) -> Node:
    """Return the node that computed the numbers of ``output``, before casts and reshapes."""
    node = output[0]
    while node.operator in _PASSING:
        node = node.inputs[0][0]
    return node
