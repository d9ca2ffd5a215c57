"""Translate a graph of MXNet operators to the plan of a C file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export import inference
from export.c.building import MOST_RANK, Builder, Call, Operand
from export.c.operators import OPERATORS
from export.c.plan import Affine, Convolution, Dense, Elementwise, Layer, Plan, Softmax, Tensor
from export.onnx.settings import Settings
from zoo.errors import ZooError
from zoo.graph import ir, shapes

_MOST_WEIGHTS = 2**26  # more than compilers take as text


def translate(
    source: ir.Graph, weights: dict[str, np.ndarray], input_shape: tuple[int, ...], uint8: bool, softmax: bool
) -> Plan:
    """Translate every node of ``source``, whose only input is "data", for one item of ``input_shape``."""
    nodes = list(source.nodes())
    _check(source, nodes, weights)
    if not 1 <= len(input_shape) <= MOST_RANK:
        raise ZooError(f"a C file takes items of one to {MOST_RANK} dimensions, not of the shape {input_shape}")
    try:
        found = shapes.infer(
            source, {inference.INPUT: (1, *input_shape), **{name: each.shape for name, each in weights.items()}}
        )
    except ZooError as error:
        raise ZooError(f"the network does not take data of the shape {(1, *input_shape)}: {error}") from None
    builder, data = Builder(), Tensor(0, input_shape)
    operands: dict[int, Operand] = {}
    readers = source.consumers()
    for node in nodes:
        if node.is_variable:
            operands[id(node)] = weights.get(node.name, data)
            if node.name == inference.INPUT:
                operands[id(node)] = builder.image(inference.INPUT, _start(builder, data, uint8), input_shape)
        else:
            shape = found[node.name][0]
            if len(shape) > MOST_RANK + 1 or len(shape) < 2 or shape[0] != 1:
                raise ZooError(f"the {node.operator} {node.name!r} cannot be written as C: it puts out {shape}")
            inputs = [operands[id(each)] for each, _ in node.inputs]
            call = Call(builder, node, inputs, shape[1:], Settings(node, "C"))
            operands[id(node)] = OPERATORS[node.operator](call)
            call.settings.finish()
        operand = operands[id(node)]
        heads = [each for each, _ in source.heads]
        if isinstance(operand, Tensor) and len(readers.get(id(node), [])) + (node in heads) > 1:
            builder.shared.add(operand.number)
    return _finish(builder, data, operands[id(source.heads[0][0])], uint8, softmax)


def _start(builder: Builder, data: Tensor, uint8: bool) -> Tensor:
    """Return the input; pixels from 0 to 255 are divided by 255 first."""
    if not uint8:
        return replace(data, shape=(data.size,))
    step = Affine(np.full(1, 1 / 255), np.zeros(1))
    pixels = replace(data, shape=(1, data.size))
    return builder.add(Elementwise("pixels", (pixels,), builder.tensor(pixels.shape), (step,)))


def _finish(builder: Builder, data: Tensor, output: Operand, uint8: bool, softmax: bool) -> Plan:
    """Append what puts the output into MXNet's order, and fold scales and shifts into the weights before them."""
    if not isinstance(output, Tensor):
        raise ZooError("the network must compute something from its data, and its outputs do not depend on them")
    if softmax:
        if len(output.shape) != 1:
            raise ZooError("softmax is for networks with one output of two dimensions")
        output = builder.add(Softmax("probabilities", (output,), builder.tensor(output.shape), ()))
    output = builder.plain("output", output)
    if not builder.layers or builder.layers[-1].target.number != output.number:
        builder.add(Elementwise("output", (output,), builder.tensor(output.shape), ()))
    layers = tuple(map(_folded, builder.layers))
    stages = (builder.stages[layer.target.number][-len(layer.steps) - 1 :] for layer in layers)
    return Plan(data, layers, tuple(map(tuple, stages)), uint8)


def _folded(layer: Layer) -> Layer:
    """Return ``layer`` with the scales and shifts that follow its sums within its weights; refuses infinite ones."""
    while isinstance(layer, (Convolution, Dense)) and layer.steps and isinstance(layer.steps[0], Affine):
        scale, shift = layer.steps[0].scale, layer.steps[0].shift
        weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        layer = replace(layer, weight=weight, bias=layer.bias * scale + shift, steps=layer.steps[1:])
    held = [layer.weight, layer.bias] if isinstance(layer, (Convolution, Dense)) else []
    held += [each for step in layer.steps if isinstance(step, Affine) for each in (step.scale, step.shift)]
    if not all((np.abs(each) <= np.finfo(np.float32).max).all() for each in held):
        raise ZooError(f"the layer {layer.name!r} cannot be written as C: its numbers are not finite in float32")
    return layer


def _check(source: ir.Graph, nodes: list[ir.Node], weights: dict[str, np.ndarray]) -> None:
    """Refuse what no C file can hold, and all unknown operators in one sentence."""
    unknown = [node.name for node in nodes if node.is_variable and node.name not in {*weights, inference.INPUT}]
    if unknown:
        raise ZooError(f"the network cannot be written as C: {', '.join(unknown)} are neither its data nor weights")
    foreign = [
        f"{node.operator} {node.name!r}" for node in nodes if not node.is_variable and node.operator not in OPERATORS
    ]
    if foreign:
        raise ZooError(
            f"the network cannot be written as C: there is no translation of {', '.join(foreign[:10])}"
            f"{' …' if len(foreign) > 10 else ''}"
        )
    size = sum(each.size for each in weights.values())
    if size > _MOST_WEIGHTS:
        raise ZooError(f"the network cannot be written as C: it has {size:,} weights, more than {_MOST_WEIGHTS:,}")
    if len(source.heads) > 1:
        raise ZooError(f"the network cannot be written as C: it has {len(source.heads)} outputs, and C code has one")
    source.name_uniquely()
    for node in nodes:
        if node.is_variable:
            node.attributes = {}  # shapes and dtypes are those of the weights themselves
