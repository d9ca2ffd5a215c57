"""Run a graph in MXNet, as it is or with values rounded as integers would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from export import inference
from export.onnx.int8.steps import LEVELS, Steps
from zoo.graph import lowering
from zoo.graph.ir import Graph, Node
from zoo.runtime import mx

_BATCH = 100


def rounded(graph: Graph, steps: Mapping[str, Steps]) -> Graph:
    """Return a copy of ``graph`` in which the first output of each node in ``steps`` is rounded to them."""
    copy = Graph.of(graph.symbol())
    nodes = list(copy.nodes())
    replaced = {id(node): _rounding(node, steps[node.name]) for node in nodes if node.name in steps}
    for node in nodes:
        node.inputs = [_replaced(each, replaced) for each in node.inputs]
    return copy


def _replaced(source: tuple[Node, int], replaced: Mapping[int, Node]) -> tuple[Node, int]:
    node, output = source
    return (replaced.get(id(node), node), output) if output == 0 else source


def _rounding(node: Node, steps: Steps) -> Node:
    chain: tuple[tuple[str, dict[str, str]], ...] = (
        ("_div_scalar", {"scalar": repr(float(steps.scale))}),
        ("rint", {}),
        ("clip", {"a_min": str(-steps.zero), "a_max": str(LEVELS - steps.zero)}),
        ("_mul_scalar", {"scalar": repr(float(steps.scale))}),
    )
    for number, (operator, attributes) in enumerate(chain):
        node = Node(operator, f"{node.name}_{number}", attributes, [(node, 0)])
    return node


def run(graph: Graph, arrays: Mapping[str, np.ndarray], items: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield the outputs of ``graph`` with the parameters ``arrays``, for one batch of ``items`` after the other."""
    block = lowering.block(graph.symbol())
    for name, parameter in block.collect_params().items():
        parameter.shape = arrays[name].shape
        parameter._load_init(mx.nd.array(arrays[name], dtype=arrays[name].dtype), mx.cpu(), cast_dtype=True)
    forward = inference.forward(block)
    for start in range(0, len(items), _BATCH):
        yield forward(items[start : start + _BATCH])


def outputs(graph: Graph, arrays: Mapping[str, np.ndarray], items: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of ``graph`` for all ``items``."""
    return [np.concatenate(parts) for parts in zip(*run(graph, arrays, items))]


def internals(graph: Graph, names: Sequence[str]) -> Graph:
    """Return ``graph`` with the first outputs of the nodes ``names`` as its outputs."""
    nodes = {node.name: node for node in graph.nodes()}
    return Graph([(nodes[name], 0) for name in names], graph.numpy)
