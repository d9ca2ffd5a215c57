"""BatchNorm after a convolution or a dense layer, multiplied into its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from export.onnx.settings import Settings
from zoo.graph.ir import Graph, Node


def fold(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove every BatchNorm of ``graph`` that a layer can compute; returns ``arrays`` with the layers' new weights."""
    folded = dict(arrays)
    consumers = graph.consumers()
    for node in list(graph.nodes()):
        if node.operator == "BatchNorm" and _is_foldable(node, graph, consumers, folded):
            layer = node.inputs[0][0]
            _multiply(node, layer, folded)
            graph.replace(node, (layer, 0))
    return folded


def _is_foldable(
    norm: Node, graph: Graph, consumers: Mapping[int, list[Node]], arrays: Mapping[str, np.ndarray]
) -> bool:
    """Whether the input of ``norm`` is a layer's and goes nowhere else, and nothing shares the parameters of both."""
    layer, _ = norm.inputs[0]
    if layer.operator not in ("Convolution", "FullyConnected") or any(head is layer for head, _ in graph.heads):
        return False
    if layer.operator == "FullyConnected" and not layer.is_set("flatten", True):
        return False  # its axis 1 need not be that of the channels
    parameters = [*layer.inputs[1:], *norm.inputs[1:]]
    constant = all(each.is_variable and each.name in arrays for each, _ in parameters)
    own = all(len(consumers[id(each)]) == 1 for each, _ in parameters)
    axis, wide = Settings(norm).integer("axis", 1), norm.is_set("output_mean_var")
    return constant and own and axis == 1 and not wide and len(consumers[id(layer)]) == 1


def _multiply(norm: Node, layer: Node, arrays: dict[str, np.ndarray]) -> None:
    factor, shift = factor_and_shift(norm, [arrays[each.name] for each, _ in norm.inputs[1:]])
    weight, beta = layer.inputs[1][0].name, norm.inputs[2][0].name
    arrays[weight] = scaled(arrays[weight], factor)
    if len(layer.inputs) == 3:
        bias = layer.inputs[2][0].name
        arrays[bias] = (arrays[bias] * factor + shift).astype(np.float32)
    else:
        layer.inputs.append((Node("null", beta), 0))  # in the place of beta, which nothing else takes
        arrays[beta] = shift.astype(np.float32)
        layer.attributes["no_bias"] = "False"


def factor_and_shift(norm: Node, parameters: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the BatchNorm ``norm`` multiplies each channel by, and what it then adds."""
    gamma, beta, mean, variance = (each.astype(np.float64) for each in parameters)
    if norm.is_set("fix_gamma", True):  # then MXNet uses 1, whatever gamma holds
        gamma = np.ones_like(gamma)
    factor = gamma / np.sqrt(variance + Settings(norm).number("eps", 1e-3))
    return factor, beta - mean * factor


def scaled(weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return ``weight`` with each output channel, the first axis, multiplied by its ``factor``."""
    return (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
