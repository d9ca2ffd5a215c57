"""The network that an ONNX file describes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from export import inference
from export.inference import INPUT
from export.loading import fill
from export.onnx.importing import folding
from export.onnx.importing.graph import FLOAT32, Call, Network, Refusal, Tensor
from export.onnx.importing.operators import OF_ANY_DTYPE, OPERATORS
from export.onnx.importing.source import Operation, Sizes, Source, read
from zoo.errors import ZooError
from zoo.graph import lowering
from zoo.graph.ir import Graph, Node, Output
from zoo.graph.shapes import Shape
from zoo.models import weights
from zoo.runtime import mx

_TRIED = (2, 3)  # batch sizes, where it is open
_MOST_NAMES = 5  # of operations, in a sentence


def from_onnx(path: str | os.PathLike[str], input_shape: tuple[int, ...] | None = None) -> mx.gluon.HybridBlock:
    """Load the network in the ONNX file ``path``, on the CPU, to run, fine-tune, benchmark or export it.

    Weights become parameters with the names that they have in the file, and running statistics of BatchNorm remain
    such. Constants that are added to data or multiplied with them are parameters that are not trained. Dropout, which
    the file may have, drops in training. ``input_shape`` is the shape of one item, for a file that leaves it open. The
    network takes what the file takes; if that begins by dividing pixels by 255, this is left out, and the network takes
    pixels from 0 to 1, as all do here.

    Raises :class:`ZooError` for a damaged file, and for one that MXNet cannot compute exactly; it names all operations
    that are in the way.
    """
    return imported(path, input_shape)[0]


def imported(path: str | os.PathLike[str], input_shape: tuple[int, ...] | None) -> tuple[mx.gluon.HybridBlock, Shape]:
    """Do what :func:`from_onnx` does; returns the network with the shape of one item."""
    source = read(Path(path))
    item = _item(source, input_shape)
    graph, network = _translate(source, item)
    _take_scaled_pixels(graph)
    _add_biases(graph, network)
    used = {node.name for node in graph.nodes() if node.is_variable}
    parameters = [each for known in network.parameters.values() for each in known if each.node.name in used]
    arrays = {each.node.name: each.value for each in parameters}
    weights.check_finite(arrays, f"{source.origin} cannot be imported")
    try:
        inference.check_fit(graph, arrays, {INPUT: item})
    except ZooError as error:
        raise _refusal(source, f"it does not take a batch of one, {error}") from None
    block = lowering.block(graph.symbol())
    fill(block, arrays)
    for each in parameters:
        if not each.is_trained:
            block.collect_params()[each.node.name].grad_req = "null"
    net = mx.gluon.nn.HybridSequential(prefix="")  # of a SymbolBlock itself, to_symbol would make a classifier
    net.add(block)
    return net, item


def _take_scaled_pixels(graph: Graph) -> None:
    """Remove a division of pixels by 255 from the start of ``graph``: networks here take pixels from 0 to 1."""
    nodes = list(graph.nodes())
    taking = [node for node in nodes if any(source.name == INPUT for source, _ in node.inputs)]
    casts = [node for node in taking if node.operator == "Cast"]
    taking = [node for node in nodes if any(source in casts for source, _ in node.inputs)] if casts == taking else []
    factor = taking[0].attributes["scalar"] if [each.operator for each in taking] == ["_mul_scalar"] else "1"
    if np.float32(factor) == np.float32(1 / 255):
        graph.replace(taking[0], casts[0].inputs[0])


def _item(source: Source, input_shape: tuple[int, ...] | None) -> Shape:
    """Return the shape of one item, which the file or the caller knows."""
    stated = ", ".join("any" if size is None else str(size) for size in source.item)
    sizes = source.item if input_shape is None else inference.item_shape(input_shape)
    if not _agree(source.item, sizes):
        raise ZooError(f"{source.origin} takes items of the shape ({stated}), not {sizes}")
    if None in sizes:
        raise ZooError(f"{source.origin} takes items of the shape ({stated}): choose one by input_shape")
    try:
        return inference.item_shape(sizes)
    except ZooError as error:
        raise _refusal(source, str(error)) from None


def _refusal(source: Source, reason: str) -> ZooError:
    """Return the error to raise; names of tensors, which may hold anything, do not break its line."""
    return ZooError(f"{source.origin} cannot be imported: {' '.join(reason.split())}")


def _agree(stated: Sizes, shape: Sizes) -> bool:
    return len(stated) == len(shape) and all(one in (None, other) for one, other in zip(stated, shape))


def _translate(source: Source, item: Shape) -> tuple[Graph, Network]:
    """Translate every operation of ``source``; one sentence names all that cannot be."""
    network = Network((source.batch,) if source.batch else _TRIED)
    tensors = {name: _constant(name, [value] * len(network.batches)) for name, value in source.constants.items()}
    shapes = tuple((size, *item) for size in network.batches)
    tensors[source.data] = Tensor(source.data, source.dtype, shapes, (Node("null", INPUT), 0), held=source.dtype)
    unknown: dict[str, list[str]] = {}
    reasons = []
    for operation in source.operations:
        operator = operation.operator
        if operator not in OPERATORS and not folding.is_known(operator):
            unknown.setdefault(operator, []).append(repr(operation.name))
        elif all(name in tensors for name in operation.inputs if name):  # none of them was refused before
            try:
                tensors.update(_results(source, network, operation, tensors))
            except Refusal as refusal:
                reasons.append(f"the {operator} {operation.name!r} ({refusal})")
    if unknown:
        reasons.insert(0, f"there is no translation of {', '.join(map(_listed, unknown, unknown.values()))}")
    if reasons:
        raise _refusal(source, "; ".join(reasons))
    graph = Graph([_head(source, tensors[name]) for name in source.outputs])
    if not any(node.name == INPUT for node in graph.nodes()):
        raise _refusal(source, "its outputs do not depend on its data")
    return graph, network


def _listed(operator: str, names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"{operator} ({', '.join(names[:_MOST_NAMES])}{more})"


def _results(source: Source, network: Network, operation: Operation, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the outputs of ``operation`` by name, as constants or after appending what computes them."""
    inputs = [tensors[name] if name else None for name in operation.inputs]
    values = folding.values(operation, inputs, source.opset, len(network.batches))
    if values is not None:
        (name,) = operation.outputs
        moved = next((each.origin for each in inputs if each and folding.is_move(operation.operator)), "")
        return {name: replace(_constant(name, values), origin=moved or name)}
    if operation.operator not in OPERATORS:
        raise Refusal("it is computed for constants only, of up to a few hundred elements")
    others = [each for each in inputs if each and not each.is_constant and each.dtype != FLOAT32]
    if others and operation.operator not in OF_ANY_DTYPE:
        raise Refusal(f"{others[0].name} is {others[0].dtype}, and is translated for float32 only")
    call = Call(network, operation, inputs)
    found = OPERATORS[operation.operator](call)
    call.finish()
    named = dict(zip(operation.outputs, found if isinstance(found, list) else [found]))
    if missing := [name for name in operation.outputs if name in source.needed and name not in named]:
        raise Refusal(f"there is no translation of its output {missing[0]}")
    for name, tensor in named.items():
        if name in source.sizes and not all(_agree(source.sizes[name], shape) for shape in tensor.shapes):
            raise Refusal(f"MXNet computes {tensor.shapes[0]} where ONNX has {source.sizes[name]}")
    return {name: replace(tensor, name=name) for name, tensor in named.items() if name}


def _constant(name: str, values: Sequence[np.ndarray]) -> Tensor:
    return Tensor(name, values[0].dtype, tuple(each.shape for each in values), values=tuple(values), origin=name)


def _head(source: Source, tensor: Tensor) -> Output:
    """Return an output of the network, in the dtype that the file states; what ONNX calls true is 1."""
    if tensor.output is None:
        raise _refusal(source, f"its output {tensor.name} is constant")
    if tensor.held != tensor.dtype and tensor.dtype != np.dtype(bool):
        return Node("Cast", tensor.name, {"dtype": tensor.dtype.name}, [tensor.output]), 0
    node, _ = tensor.output
    return (Node("_copy", tensor.name, {}, [tensor.output]), 0) if node.is_variable else tensor.output


def _add_biases(graph: Graph, network: Network) -> None:
    """Make a vector that is added to a FullyConnected without a bias its bias: so do others write layers."""
    parameters = {id(each.node): each for known in network.parameters.values() for each in known}
    consumers, heads = graph.consumers(), {id(node) for node, _ in graph.heads}
    for node in [node for node in graph.nodes() if node.operator == "broadcast_add"]:
        for (layer, _), (vector, _) in (node.inputs, node.inputs[::-1]):
            bias = parameters.get(id(vector))
            if bias is None or layer.operator != "FullyConnected" or not layer.is_set("no_bias"):
                continue
            is_alone = len(consumers[id(layer)]) == 1 and id(layer) not in heads
            if is_alone and bias.value.shape == (int(layer.attributes["num_hidden"]),):
                layer.inputs.append((vector, 0))
                layer.attributes["no_bias"], layer.name, bias.is_trained = "False", node.name, True
                graph.replace(node, (layer, 0))
                break
