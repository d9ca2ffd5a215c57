"""The zoo's networks as PyTorch modules, built from MXNet's graph of operators and its weights."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from zoo.errors import ZooError

_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "softrelu": nn.Softplus}
_SUMS = ("elemwise_add", "broadcast_add")
_SCALARS = {"_plus_scalar": operator.add, "_mul_scalar": operator.mul, "_div_scalar": operator.truediv}


def network(nodes: list[dict[str, Any]], weights: Mapping[str, np.ndarray]) -> fx.GraphModule:
    """Convert ``nodes`` of an ``mx.sym.Symbol``'s JSON to a float32 module of images ``(n, 1, 28, 28)``.

    The first variable is the images, and the last node the output. Raises :class:`ZooError` for operators and settings
    not known here.
    """
    graph, layers = fx.Graph(), nn.ModuleDict()
    values = {next(number for number, node in enumerate(nodes) if node["op"] == "null"): graph.placeholder("images")}
    for number, node in enumerate(nodes):
        if node["op"] == "null":
            continue
        kind, sources = node["op"], [source for source, *_ in node["inputs"]]
        settings = {key: _value(text) for key, text in node.get("attrs", {}).items()}
        value = values[sources[0]]
        if kind in _SUMS:
            value = graph.call_function(operator.add, (value, values[sources[1]]))
        elif kind in _SCALARS:
            value = graph.call_function(_SCALARS[kind], (value, float(node["attrs"]["scalar"])))
        elif kind in _LAYERS:
            arrays = [torch.from_numpy(np.array(weights[nodes[source]["name"]])) for source in sources[1:]]
            for name, layer in _LAYERS[kind](settings, arrays):
                layers[f"{node['name']}{name}"] = layer
                value = graph.call_module(f"{node['name']}{name}", (value,))
        else:
            raise ZooError(f"the {kind} {node['name']!r} has no counterpart among the PyTorch layers used here")
        values[number] = value
    graph.output(value)
    return fx.GraphModule(layers, graph)


def _value(text: str) -> object:
    """Parse a Python literal; returns the text itself if it is a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _convolution(settings: dict[str, Any], arrays: list[torch.Tensor]) -> Iterator[tuple[str, nn.Module]]:
    outputs, inputs, *kernel = arrays[0].shape
    groups = settings.get("num_group", 1)
    layer = nn.Conv2d(
        inputs * groups, outputs, kernel, settings.get("stride") or 1, settings.get("pad") or 0,
        settings.get("dilate") or 1, groups, bias=len(arrays) > 1,
    )  # fmt: skip
    yield "", _filled(layer, ("weight", "bias"), arrays)


def _fully_connected(settings: dict[str, Any], arrays: list[torch.Tensor]) -> Iterator[tuple[str, nn.Module]]:
    if not settings.get("flatten", True):
        raise ZooError("a fully connected layer along the last axis only has no counterpart here")
    outputs, inputs = arrays[0].shape
    yield "_flat", nn.Flatten()  # does nothing, in next to no time, if the input is flat already
    yield "", _filled(nn.Linear(inputs, outputs, bias=len(arrays) > 1), ("weight", "bias"), arrays)


class _BatchNorm(nn.BatchNorm2d):
    """Accepts images or vectors, as MXNet's does."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        pass


def _batch_norm(settings: dict[str, Any], arrays: list[torch.Tensor]) -> Iterator[tuple[str, nn.Module]]:
    if settings.get("fix_gamma", True) or settings.get("axis", 1) != 1 or settings.get("use_global_stats", False):
        raise ZooError(f"a BatchNorm with {settings} has no counterpart here")
    layer = _BatchNorm(len(arrays[0]), settings.get("eps", 1e-3), momentum=1 - settings.get("momentum", 0.9))
    yield "", _filled(layer, ("weight", "bias", "running_mean", "running_var"), arrays)


def _pooling(settings: dict[str, Any], arrays: list[torch.Tensor]) -> Iterator[tuple[str, nn.Module]]:
    kind, kernel, padding = settings.get("pool_type", "max"), settings.get("kernel"), settings.get("pad") or 0
    if kind not in ("max", "avg") or settings.get("pooling_convention") == "same":
        raise ZooError(f"a Pooling with {settings} has no counterpart here")
    if settings.get("global_pool"):
        yield "", nn.AdaptiveMaxPool2d(1) if kind == "max" else nn.AdaptiveAvgPool2d(1)
        return
    layer = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
    ceiling = settings.get("pooling_convention") == "full"
    yield "", layer(kernel, settings.get("stride") or 1, padding, ceil_mode=ceiling)


def _filled(layer: nn.Module, names: tuple[str, ...], arrays: list[torch.Tensor]) -> nn.Module:
    with torch.no_grad():
        for name, array in zip(names, arrays):
            getattr(layer, name).copy_(array)
    return layer


# Each yields the modules for a node, with the suffixes that they add to the node's name.
_LAYERS: dict[str, Callable[[dict[str, Any], list[torch.Tensor]], Iterable[tuple[str, nn.Module]]]] = {
    "Activation": lambda settings, _: [("", _ACTIVATIONS[settings["act_type"]]())],
    "BatchNorm": _batch_norm,
    "Convolution": _convolution,
    "Dropout": lambda settings, _: [("", nn.Dropout(settings.get("p", 0.5)))],
    "Flatten": lambda *_: [("", nn.Flatten())],
    "FullyConnected": _fully_connected,
    "Pooling": _pooling,
}
