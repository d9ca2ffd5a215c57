"""MXNet's symbol graphs as ONNX models, for inference: one small function for each operator.

A network goes in as it computes outside of training: Dropout disappears, and BatchNorm uses its running
statistics. Whatever has no function here, or a setting that ONNX expresses differently, is refused by
name rather than translated approximately.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo import files, weights
from zoo.errors import ZooError
from zoo.graph import INPUT_SHAPE
from zoo.runtime import mx

_OPSETS = range(14, 19)  # BatchNormalization has its present form from 14 on; IR version 8 goes with up to 18
_LAYOUTS = (None, "NCW", "NCHW", "NCDHW")
_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "softrelu": "Softplus", "softsign": "Softsign", "tanh": "Tanh"}


def to_onnx(net: mx.gluon.HybridBlock, path: str | os.PathLike, opset: int = 17) -> Path:
    """Write ``net`` to ``path`` as an ONNX model, and return the path.

    Its input ``data`` is ``("batch", 1, 28, 28)`` float32 in [0, 1], with any batch size; its output, named
    after the network's last operator, is ``("batch", 10)`` float32. Nodes and weights keep their names in
    MXNet. Raises :class:`ZooError` where the package onnx is missing, for an operator or a setting that
    cannot be translated, for weights that are not finite, and where the file cannot be written.
    """
    onnx = _onnx()
    if opset not in _OPSETS:
        raise ZooError(f"an ONNX file is written with an opset from {_OPSETS[0]} to {_OPSETS[-1]}, not {opset}")
    graph = _translate(net)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            name=net.name or "network",
            inputs=[_value(onnx, graph, "data")],
            outputs=[_value(onnx, graph, graph.output)],
            initializer=[onnx.numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=8,
        producer_name="mxnet-mnist-zoo",
    )
    onnx.checker.check_model(model, full_check=True)
    path = files.output_file(Path(path))
    with files.atomic(path) as file:
        file.write(model.SerializeToString())
    return path


def _value(onnx, graph: _Graph, name: str):
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *graph.shapes[name][1:]])


@dataclass
class _Graph:
    """The ONNX graph as it grows, in the order of MXNet's."""

    arrays: dict[str, np.ndarray]  # MXNet's weights by name
    shapes: dict[str, tuple[int, ...]]  # of every tensor, for a batch of one
    nodes: list = field(default_factory=list)  # onnx.NodeProto
    weights: dict[str, np.ndarray] = field(default_factory=dict)  # those that a node takes
    output: str = ""

    def add(self, operator: str, node: _Node, inputs: list[str], output: str | None = None, **attributes) -> None:
        """Append an ONNX node whose result is ``output``, or else what MXNet's ``node`` puts out."""
        output = output or node.name
        self.weights.update((name, self.arrays[name]) for name in inputs if name in self.arrays)
        self.nodes.append(_onnx().helper.make_node(operator, inputs, [output], name=output, **attributes))


@dataclass(frozen=True)
class _Node:
    """One operator of MXNet's graph; ``inputs`` are the names of the ONNX tensors that it takes."""

    operator: str
    name: str
    inputs: list[str]
    settings: dict[str, str]

    def get(self, key: str, default):
        """A setting as a Python value; MXNet stores all of them as text and may leave out defaults."""
        text = self.settings.get(key)
        try:
            return default if text is None else ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a word
            return text

    def require(self, key: str, *possible) -> None:
        """Refuse the node unless its setting ``key`` is one of ``possible``, the first of which is the default."""
        if self.get(key, possible[0]) not in possible:
            raise self.refusal(f"there is no translation of {key}={self.settings[key]}")

    def refusal(self, reason: str) -> ZooError:
        return ZooError(f"the {self.operator} {self.name!r} cannot be written as ONNX: {reason}")


def _translate(net: mx.gluon.HybridBlock) -> _Graph:
    symbol = net(mx.sym.var("data"))
    if len(symbol) != 1:
        raise ZooError(f"the network cannot be written as ONNX: it has {len(symbol)} outputs and must have one")
    arrays = {name.split(":", 1)[1]: array for name, array in weights.state(net).items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ZooError(f"the network cannot be exported: {name} holds values that are not finite")
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, *INPUT_SHAPE))
    names = [name.rsplit("_output", 1)[0] for name in internals.list_outputs()]
    graph = _Graph(arrays, dict(zip(names, shapes)))
    tensors: list[str] = []  # what the output of MXNet's node of the same index is called in ONNX
    for raw in json.loads(symbol.tojson())["nodes"]:
        node = _Node(raw["op"], raw["name"], [tensors[index] for index, *_ in raw["inputs"]], raw.get("attrs", {}))
        if node.operator == "null":  # the data or a weight
            tensors.append(node.name)
        elif node.operator in _OPERATORS:
            tensors.append(_OPERATORS[node.operator](graph, node) or node.name)
        else:
            raise node.refusal(f"there is no translation of it, only of {', '.join(_OPERATORS)}")
    graph.output = tensors[-1]  # in topological order the single output comes last
    return graph


def _convolution(graph: _Graph, node: _Node) -> None:
    node.require("layout", *_LAYOUTS)
    graph.add("Conv", node, node.inputs, group=node.get("num_group", 1), **_window(node, dilations="dilate"))


def _fully_connected(graph: _Graph, node: _Node) -> None:
    data, *parameters = node.inputs
    if len(graph.shapes[data]) > 2:
        if not node.get("flatten", True):
            raise node.refusal("it is applied along the last axis (flatten=False) of more than two")
        graph.add("Flatten", node, [data], output=f"{node.name}_flat", axis=1)
        data = f"{node.name}_flat"
    graph.add("Gemm", node, [data, *parameters], transB=1)  # MXNet keeps weights as (outputs, inputs)


def _activation(graph: _Graph, node: _Node) -> None:
    node.require("act_type", *_ACTIVATIONS)
    graph.add(_ACTIVATIONS[node.get("act_type", "relu")], node, node.inputs)


def _batch_norm(graph: _Graph, node: _Node) -> None:
    node.require("axis", 1)
    node.require("output_mean_var", False)
    data, gamma, beta, mean, variance = node.inputs
    if node.get("fix_gamma", True):  # MXNet computes with 1 then, whatever gamma holds
        graph.arrays[gamma] = np.ones_like(graph.arrays[gamma])
    graph.add("BatchNormalization", node, [data, gamma, beta, mean, variance], epsilon=float(node.get("eps", 1e-3)))


def _pooling(graph: _Graph, node: _Node) -> None:
    node.require("pool_type", "max", "avg")
    node.require("layout", *_LAYOUTS)
    average = node.get("pool_type", "max") == "avg"
    if node.get("global_pool", False):
        return graph.add("GlobalAveragePool" if average else "GlobalMaxPool", node, node.inputs)
    node.require("pooling_convention", "valid", *([] if average else ["full"]))  # "same" pads on one side only
    ceiling = int(node.get("pooling_convention", "valid") == "full")
    further = {"count_include_pad": int(node.get("count_include_pad", True))} if average else {}
    operator = "AveragePool" if average else "MaxPool"
    return graph.add(operator, node, node.inputs, ceil_mode=ceiling, **further, **_window(node))


def _window(node: _Node, **renamed: str) -> dict[str, list[int]]:
    """Kernel, strides and padding, as every sliding window has them; ``renamed`` are further settings of its size."""
    kernel = node.get("kernel", ())
    padding = node.get("pad", ()) or (0,) * len(kernel)
    window = {"kernel_shape": kernel, "pads": (*padding, *padding), "strides": node.get("stride", ())}
    window.update((name, node.get(setting, ())) for name, setting in renamed.items())
    return {name: list(value or (1,) * len(kernel)) for name, value in window.items()}


_OPERATORS: dict[str, Callable[[_Graph, _Node], str | None]] = {  # each may name the tensor that stands for its output
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "Convolution": _convolution,
    "Dropout": lambda graph, node: node.inputs[0],  # the identity, outside of training
    "Flatten": lambda graph, node: graph.add("Flatten", node, node.inputs, axis=1),
    "FullyConnected": _fully_connected,
    "Pooling": _pooling,
}


def _onnx():
    try:
        import onnx
    except ImportError as error:
        raise ZooError(f"writing ONNX files needs the package onnx ({error}): pip install '.[onnx]'") from None
    return onnx
