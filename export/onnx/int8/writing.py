"""QuantizeLinear and DequantizeLinear in an ONNX graph."""

from __future__ import annotations

import numpy as np

from export.inference import INPUT
from export.onnx.graph import OnnxGraph, Operation
from export.onnx.int8.calibration import Plan
from export.onnx.int8.steps import Steps, layer_integers
from export.onnx.translation import Translation

_OUTPUTS = {"Conv": 0, "Gemm": 0, "MatMul": 1}  # the axis of a layer's weights that is its outputs'


def write(translation: Translation, plan: Plan) -> None:
    """Make what ``plan`` says integers in the graph of ``translation``."""
    graph, names = translation.graph, translation.names
    steps = {names[name]: each for name, each in plan.steps.items()}
    layers = {names[name] for name in plan.layers}
    dequantized = {name: graph.unique(f"{name}_dequantized") for name in steps}
    operations, graph.operations = graph.operations, []
    constants: dict[Steps, list[str]] = {}

    def convert(name: str) -> None:
        if steps[name] not in constants:
            constants[steps[name]] = [
                graph.constant(f"{name}_scale", np.array(steps[name].scale)),
                graph.constant(f"{name}_zero", np.array(steps[name].zero, np.uint8)),
            ]
        integers = graph.unique(f"{name}_quantized")
        graph.add("QuantizeLinear", [name, *constants[steps[name]]], [integers])
        graph.add("DequantizeLinear", [integers, *constants[steps[name]]], [dequantized[name]])

    produced = {name for operation in operations for name in operation.outputs}
    for name in steps.keys() - produced:  # the data
        convert(name)
    for operation in operations:
        if operation.operator in _OUTPUTS and operation.name.removesuffix("_matmul") in layers:
            _convert_weights(graph, operation, steps[operation.inputs[0]])
        operation.inputs = [dequantized.get(name, name) for name in operation.inputs]
        graph.operations.append(operation)
        for name in steps.keys() & set(operation.outputs):
            convert(name)
    used = {name for operation in graph.operations for name in operation.inputs}
    graph.initializers = {name: value for name, value in graph.initializers.items() if name in used}


def take_integers(graph: OnnxGraph) -> None:
    """Let the data of ``graph`` be the integers that it makes of them first."""
    (first,) = (each for each in graph.operations if each.inputs[0] == INPUT)
    graph.operations.remove(first)
    for operation in graph.operations:
        operation.inputs = [INPUT if name in first.outputs else name for name in operation.inputs]


def _convert_weights(graph: OnnxGraph, operation: Operation, data: Steps) -> None:
    """Replace the weights and biases of ``operation`` by integers, with a scale for each output."""
    axis, names = _OUTPUTS[operation.operator], operation.inputs[1:]
    real, *biases = [graph.initializers[name] for name in names]
    weight, scales, bias = layer_integers(np.moveaxis(real, axis, 0), biases[0] if biases else None, data)
    parts = [(np.moveaxis(weight, 0, axis), scales, axis)]
    if bias is not None:
        parts.append((bias, data.scale * scales, 0))
    for position, (name, (integers, scale, along)) in enumerate(zip(names, parts), start=1):
        operation.inputs[position] = graph.unique(f"{name}_dequantized")
        inputs = [
            graph.constant(f"{name}_quantized", np.ascontiguousarray(integers)),
            graph.constant(f"{name}_scale", scale),
            graph.constant(f"{name}_zero", np.zeros(scale.shape, integers.dtype)),
        ]
        graph.add("DequantizeLinear", inputs, [operation.inputs[position]], axis=along)
