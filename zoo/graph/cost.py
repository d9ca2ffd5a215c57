"""The cost of a network: layers, parameters and FLOPs, computed from its graph rather than declared."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.graph.ir import Node
    from zoo.graph.shapes import Shape
    from zoo.runtime import mx

INPUT_SHAPE = (1, 28, 28)  # of an MNIST image: channels, rows, columns


@dataclass(frozen=True)
class Layer:
    """One operator of the graph, for a batch of one."""

    name: str
    operator: str
    input_size: int  # elements read, besides parameters
    output_shape: tuple[int, ...]  # without the batch
    parameters: int  # trainable ones; the running statistics of BatchNorm do not count
    flops: int  # of the forward pass, two per multiply-accumulate; other operators count as 0


def layers(net: mx.gluon.HybridBlock, input_shape: tuple[int, ...] = INPUT_SHAPE) -> tuple[Layer, ...]:
    """Return the operators of ``net`` in topological order, for an input of ``input_shape`` without the batch."""
    from zoo.graph import shapes
    from zoo.graph.ir import Graph, symbol_of

    symbol = symbol_of(net)
    graph = Graph.of(symbol)
    found = shapes.infer(graph, {"data": (1, *input_shape)})
    untrained = {"data", *symbol.list_auxiliary_states()}
    counted: set[str] = set()
    table = []
    for node in graph.nodes():
        if node.is_variable:
            continue
        sources = [source for source, _ in node.inputs]
        weights = {each.name for each in sources if each.is_variable} - untrained - counted
        counted |= weights
        data = [each for each in sources if not each.is_variable or each.name == "data"]
        table.append(
            Layer(
                name=node.name,
                operator=node.operator,
                input_size=sum(prod(found[each.name][0]) for each in data),
                output_shape=found[node.name][0][1:],
                parameters=sum(prod(found[name][0]) for name in weights),
                flops=_flops(node, found),
            )
        )
    return tuple(table)


def _flops(node: Node, shapes: dict[str, list[Shape]]) -> int:
    """Count two per multiply-accumulate of a convolution or fully connected layer: outputs times weights per output."""
    if node.operator not in ("Convolution", "FullyConnected"):
        return 0
    weight = shapes[node.inputs[1][0].name][0]  # (outputs, inputs / groups, *kernel) or (outputs, inputs)
    return 2 * prod(shapes[node.name][0]) * prod(weight[1:])
