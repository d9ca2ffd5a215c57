"""Translate a graph of MXNet operators to a graph of ONNX operators."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from export import inference
from export.inference import described
from export.onnx.graph import BATCH, Call, OnnxGraph, Shape, Tensor
from export.onnx.operators import OPERATORS
from export.onnx.settings import Settings
from zoo.errors import ZooError
from zoo.graph import ir, shapes

_MOST_NAMES = 5  # of nodes, in a message about an operator
_TRIED = (2, 3)  # batch sizes: what is the same for both does not depend on the batch


@dataclass(frozen=True)
class Translation:
    """An ONNX graph, its output tensors, and the names of the tensors that are the first outputs of MXNet's nodes."""

    graph: OnnxGraph
    outputs: list[Tensor]
    names: dict[str, str]


def translate(
    source: ir.Graph,
    weights: dict[str, np.ndarray],
    inputs: Mapping[str, shapes.Shape],
    batch: int | None,
    opset: int,
    reserved: Collection[str],
) -> Translation:
    """Translate every node of ``source``, with ``inputs`` of such shapes; ``batch`` None leaves the batch size open.

    No tensor gets a name that is ``reserved``, for the outputs.
    """
    nodes = list(source.nodes())
    unknown = [node.name for node in nodes if node.is_variable and node.name not in weights and node.name not in inputs]
    if unknown:
        raise ZooError(f"the network cannot be written as ONNX: {', '.join(unknown)} are neither its data nor weights")
    source.name_uniquely()
    _check_operators(nodes)
    for node in nodes:
        if node.is_variable:
            node.attributes = {}  # shapes and dtypes are those of the weights themselves
    facts = _infer(source, weights, inputs, batch)
    variables = {node.name for node in nodes if node.is_variable}
    graph = OnnxGraph(opset, next(iter(inputs)), variables | set(reserved))
    tensors: dict[int, list[Tensor]] = {}  # the outputs of a node, by its id
    for number, node in enumerate(nodes):
        outputs = facts[number]
        if node.is_variable:
            tensors[id(node)] = [Tensor(node.name, *outputs[0], weights.get(node.name))]
            continue
        taken = [_output(tensors, each) for each in node.inputs]
        call = Call(graph, node, graph.unique(_readable(node.name)), taken, outputs, Settings(node))
        if any(0 in shape for shape, _ in outputs):
            raise call.refusal("it puts out no elements, which MXNet cannot compute")
        count = len(graph.operations)
        names = OPERATORS[node.operator](call)
        call.settings.finish()
        for operation in graph.operations[count:]:
            operation.origin = call.settings
        names = [names] if isinstance(names, str) else names
        known = {each.name: each.value for each in taken}  # a weight that only passes through remains a weight
        values = [known.get(name, graph.initializers.get(name)) for name in names]
        tensors[id(node)] = [Tensor(name, *fact, value) for name, fact, value in zip(names, outputs, values)]
    heads = [_output(tensors, each) for each in source.heads]
    graph.prune({each.name for each in heads})
    return Translation(graph, heads, {node.name: tensors[id(node)][0].name for node in nodes})


def _check_operators(nodes: list[ir.Node]) -> None:
    """Raise :class:`ZooError` if there is no translation of some operators; it lists them all."""
    unknown: dict[str, list[str]] = {}
    for node in nodes:
        if not node.is_variable and node.operator not in OPERATORS:
            unknown.setdefault(node.operator, []).append(repr(node.name))
    listed = [
        f"{operator} ({f'{len(names)}: ' if len(names) > 1 else ''}{', '.join(names[:_MOST_NAMES])}"
        f"{', …' if len(names) > _MOST_NAMES else ''})"
        for operator, names in sorted(unknown.items())
    ]
    if listed:
        raise ZooError(f"the network cannot be written as ONNX: there is no translation of {', '.join(listed)}")


def _output(tensors: dict[int, list[Tensor]], output: ir.Output) -> Tensor:
    node, number = output
    if number >= len(tensors[id(node)]):
        raise Settings(node).refusal(f"only its first output is translated, and output {number} is used")
    return tensors[id(node)][number]


def _infer(
    source: ir.Graph, weights: dict[str, np.ndarray], inputs: Mapping[str, shapes.Shape], batch: int | None
) -> list[list[tuple[Shape, np.dtype]]]:
    """Return shape and dtype of every output of every node, in the order of the nodes."""
    known = {name: value.shape for name, value in weights.items()}
    found = []
    for size in [batch] if batch else _TRIED:
        given = {name: (size, *shape) for name, shape in inputs.items()}
        try:
            found.append(list(shapes.infer(source, {**given, **known}).values()))
        except ZooError as error:
            raise ZooError(f"the network does not take data of the shape {described(given)}: {error}") from None
    remaining = iter(inference.dtypes(source.symbol().get_internals(), weights, inputs))
    return [
        [(first if batch else _merged(first, others[-1]), next(remaining)) for first, *others in zip(*node)]
        for node in zip(*found)
    ]


def _merged(first: tuple[int, ...], second: tuple[int, ...]) -> Shape:
    if len(first) != len(second):
        raise ZooError("the network cannot be written as ONNX: how many dimensions it has depends on the batch size")
    pairs = zip(first, second)
    return tuple(one if one == other else BATCH if (one, other) == _TRIED else None for one, other in pairs)


def _readable(name: str) -> str:
    return name[: -len("_fwd")] if name.endswith("_fwd") else name  # Gluon's suffix of every operator
