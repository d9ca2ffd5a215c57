"""The ranges of the integers, found by running MXNet on items that the network was not trained on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from export.inference import INPUT
from export.onnx import folding
from export.onnx.int8 import placing, simulation
from export.onnx.int8.steps import Steps, weight_integers
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph import shapes
from zoo.graph.ir import Graph

_SAMPLE = 20_000  # values of a tensor that are kept of each batch
_PERCENTILE = 99.99
_CLOSE = 0.05  # error of outputs: root mean square, relative to the outputs'
_SHARES = np.linspace(0.3, 1.0, 29)  # of the whole range, tried for the smallest error


@dataclass(frozen=True)
class Plan:
    """What becomes integers, by the names of MXNet's nodes: their first outputs, with their steps, and layers."""

    steps: dict[str, Steps]
    layers: Collection[str]


@dataclass(frozen=True)
class _Seen:
    """The smallest and the largest value of a tensor, and a sample of the values between."""

    low: float
    high: float
    sample: np.ndarray


def prepare(
    graph: Graph,
    arrays: Mapping[str, np.ndarray],
    input_shape: tuple[int, ...],
    data: Dataset | np.ndarray,
    uint8: bool,
) -> tuple[dict[str, np.ndarray], Plan]:
    """Fold BatchNorm in ``graph``; returns its arrays, and what becomes integers.

    ``data`` are items that the network was not trained on. With ``uint8``, its own data are the integers already.
    """
    items = _items(data, input_shape)
    known = {name: value.shape for name, value in arrays.items()}
    placing.flatten(graph, shapes.infer(graph, {INPUT: (1, *input_shape), **known}))
    folded = folding.fold(graph, arrays)
    plan = calibrate(graph, folded, items)
    if uint8 and INPUT in plan.steps:
        own, pixels = plan.steps[INPUT], Steps.between(0, 1)
        plan = replace(plan, steps={name: pixels if each is own else each for name, each in plan.steps.items()})
    return folded, plan


def _items(data: Dataset | np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """Return ``data`` as float32 that a network takes; uint8 pixels are scaled to [0, 1]."""
    items = data.images[:, None] if isinstance(data, Dataset) else data
    if not isinstance(items, np.ndarray) or items.dtype.kind not in "fiu" or items.shape[1:] != input_shape:
        kind = f"{items.dtype} of the shape {items.shape}" if isinstance(items, np.ndarray) else type(items).__name__
        raise ZooError(
            f"int8 needs a Dataset or an array of the shape ({', '.join(map(str, ('n', *input_shape)))}) to find the "
            f"ranges of the integers with, not {kind}"
        )
    if not items.size or not np.isfinite(items).all():
        raise ZooError("int8 needs at least one item, and only finite values, to find the ranges of the integers with")
    return items * np.float32(1 / 255) if items.dtype == np.uint8 else items.astype(np.float32)


def calibrate(graph: Graph, arrays: Mapping[str, np.ndarray], items: np.ndarray) -> Plan:
    """Return what of ``graph`` becomes integers.

    All layers compute with integers, unless the outputs for ``items`` are close enough to those of real numbers only if
    the last, the first or both do not. Of the three ways to find ranges, the one with the smallest error is taken.
    """
    layers = placing.layers(graph, arrays)
    if not layers:
        raise ZooError("int8 is for convolutions and dense layers, and the network has none with weights of its own")
    expected = simulation.outputs(graph, arrays, items)
    seen = _observe(graph, arrays, items, sorted(set(placing.tensors(graph, arrays, layers).values())))
    ends = [np.array([each.low, each.high]) for each in seen.values()]
    if not all(np.isfinite(each).all() for each in [*expected, *ends]):
        raise ZooError("int8 needs items from which the network computes finite values only, unlike from these")
    ways = [{name: way(each) for name, each in seen.items()} for way in (_whole, _percentile, _least_error)]
    rounded = _rounded_weights(graph, arrays, layers)
    best, least = Plan({}, ()), float("inf")
    for chosen in filter(None, (layers, layers[:-1], layers[1:], layers[1:-1])):
        weights = {**arrays, **{weight: rounded[weight] for weight in _weights(graph, chosen)}}
        owners = placing.tensors(graph, arrays, chosen)
        for found in ways:
            steps = {name: found[owner] for name, owner in owners.items()}
            error = _error(simulation.outputs(simulation.rounded(graph, steps), weights, items), expected)
            if error < least:
                best, least = Plan(steps, chosen), error
        if least <= _CLOSE:
            break
    return best


def _weights(graph: Graph, layers: Collection[str]) -> set[str]:
    return {node.inputs[1][0].name for node in graph.nodes() if node.name in layers}


def _rounded_weights(graph: Graph, arrays: Mapping[str, np.ndarray], layers: Collection[str]) -> dict[str, np.ndarray]:
    rounded = {}
    for name in _weights(graph, layers):
        integers, scales = weight_integers(arrays[name])
        rounded[name] = integers * scales.reshape(-1, *[1] * (integers.ndim - 1))
    return rounded


def _observe(graph: Graph, arrays: Mapping[str, np.ndarray], items: np.ndarray, names: list[str]) -> dict[str, _Seen]:
    random = np.random.default_rng(0)
    batches = []
    for values in simulation.run(simulation.internals(graph, names), arrays, items):
        batches.append([_Seen(each.min(), each.max(), random.choice(each.ravel(), _SAMPLE)) for each in values])
    return {
        name: _Seen(
            min(each.low for each in parts),
            max(each.high for each in parts),
            np.concatenate([each.sample for each in parts]),
        )
        for name, parts in zip(names, zip(*batches))
    }


def _whole(seen: _Seen) -> Steps:
    return Steps.between(seen.low, seen.high)


def _percentile(seen: _Seen) -> Steps:
    return Steps.between(*np.percentile(seen.sample, [100 - _PERCENTILE, _PERCENTILE]))


def _least_error(seen: _Seen) -> Steps:
    """Return the steps with the least mean square error, from the whole range to a part of it."""
    tried = [Steps.between(seen.low * share, seen.high * share) for share in _SHARES]
    return min(tried, key=lambda steps: float(np.square(steps.round(seen.sample) - seen.sample).mean()))


def _error(computed: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return the largest error of an output: the root mean square, relative to the output's."""
    return max(
        float(np.linalg.norm(one - other) / max(np.linalg.norm(other), np.finfo(np.float32).tiny))
        for one, other in zip(computed, expected)
    )
