"""What a network's symbol graph costs: layers, parameters and FLOPs, computed rather than declared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.runtime import mx

INPUT_SHAPE = (1, 28, 28)


@dataclass(frozen=True)
class Layer:
    """One operator of the graph, for a batch of one."""

    name: str
    operator: str
    input_size: int  # elements that it reads besides its parameters
    output_shape: tuple[int, ...]  # without the batch
    parameters: int  # trainable ones; the running statistics of BatchNorm do not count
    flops: int  # of the forward pass, two per multiply-accumulate; other operators count as 0


def layers(net: mx.gluon.HybridBlock, input_shape: tuple[int, ...] = INPUT_SHAPE) -> tuple[Layer, ...]:
    """The operators of ``net`` in topological order, for an input of ``input_shape`` without the batch."""
    from zoo.runtime import mx

    with mx.name.NameManager():  # what has no name of its own is numbered from 0
        symbol = net(mx.sym.var("data"))
    nodes = json.loads(symbol.tojson())["nodes"]
    internals = symbol.get_internals()
    _, output_shapes, _ = internals.infer_shape(data=(1, *input_shape))
    shapes = dict(zip(internals.list_outputs(), output_shapes))
    trainable = set(symbol.list_arguments()) - {"data"}
    seen: set[str] = set()
    table = []
    for node in nodes:
        if node["op"] == "null":
            continue
        inputs = [nodes[index] for index, *_ in node["inputs"]]
        names = {each["name"] for each in inputs} & trainable - seen
        seen |= names
        output = _shape(node, shapes)
        table.append(
            Layer(
                node["name"],
                node["op"],
                sum(prod(_shape(each, shapes)) for each in inputs if each["op"] != "null" or each["name"] == "data"),
                output[1:],
                sum(prod(shapes[name]) for name in names),
                _flops(node["op"], inputs, output, shapes),
            )
        )
    return tuple(table)


def _shape(node: dict, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Of a node's first output, or of a variable."""
    name = node["name"]
    return next(shapes[each] for each in (f"{name}_output", f"{name}_output0", name) if each in shapes)


def _flops(operator: str, inputs: list[dict], output: tuple[int, ...], shapes: dict[str, tuple[int, ...]]) -> int:
    """Two per multiply-accumulate of a convolution or fully connected layer: outputs times weights of each output."""
    if operator not in ("Convolution", "FullyConnected"):
        return 0
    weight = shapes[inputs[1]["name"]]  # (outputs, inputs / groups, *kernel) or (outputs, inputs)
    return 2 * prod(output) * prod(weight[1:])
