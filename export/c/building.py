"""The plan under construction, and the operator that is being added to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Union

import numpy as np

from export.c.plan import Convolution, Dense, Elementwise, Layer, Pool, Shape, Step, Tensor, Transpose
from export.onnx.settings import Settings
from zoo.errors import ZooError
from zoo.graph.ir import Node

MOST_RANK = 3  # channels, height, width
_WITH_STEPS = (Convolution, Dense, Elementwise, Pool)
Operand = Union[Tensor, np.ndarray]  # an array that is computed, or a weight


@dataclass
class Builder:
    """The layers so far."""

    layers: list[Layer] = field(default_factory=list)
    shared: set[int] = field(default_factory=set)  # numbers of arrays that more than one operator reads
    stages: dict[int, list[str]] = field(default_factory=dict)  # of each array: the nodes that its layer computes
    count: int = 1  # of the arrays; 0 is the input

    def tensor(self, shape: Shape, order: Shape | None = None) -> Tensor:
        """Return a new array."""
        self.count += 1
        return Tensor(self.count - 1, shape, order)

    def add(self, layer: Layer) -> Tensor:
        """Append a layer; returns what it writes."""
        self.layers.append(layer)
        self.stages[layer.target.number] = [*[""] * len(layer.steps), layer.name]
        return layer.target

    def apply(self, name: str, data: Tensor, *steps: Step) -> Tensor:
        """Apply ``steps`` to ``data`` within the layer that writes it, or in one of their own where others read it."""
        for position, layer in enumerate(self.layers):
            if isinstance(layer, _WITH_STEPS) and layer.target == data and data.number not in self.shared:
                reads = replace(layer, steps=steps).reads[len(layer.sources) :]
                if all(each.number in self._written(position) for each in reads):
                    self.layers[position] = replace(layer, steps=(*layer.steps, *steps))
                    self.stages[data.number] += [*[""] * (len(steps) - 1), name]
                    return data
        return self.add(Elementwise(name, (data,), self.tensor(data.shape, data.order), steps))

    def plain(self, name: str, data: Tensor) -> Tensor:
        """Return ``data`` in MXNet's order: as they are, unless they are an image with several channels."""
        height, width, channels = data.stored
        if data.order is None and len(data.shape) == 1:
            return data
        flat = (data.size,)
        if channels == 1 or height * width == 1:
            return replace(data, shape=flat, order=None)
        return self.add(Transpose(f"{name}_flat", (data,), self.tensor(flat), (), rows=height * width))

    def image(self, name: str, data: Tensor, shape: Shape) -> Tensor:
        """Return ``data``, which are in MXNet's order, stored as an image of ``shape``."""
        if len(shape) == 1 or shape[0] == 1 or prod(shape[1:]) == 1:
            return replace(data, shape=shape)
        return self.add(Transpose(f"{name}_image", (data,), self.tensor(shape), (), rows=shape[0]))

    def _written(self, position: int) -> set[int]:
        """Return the arrays that are there before the layer at ``position``."""
        return {0, *(layer.target.number for layer in self.layers[:position])}


@dataclass
class Call:
    """An operator of MXNet's graph that is being added to the plan."""

    builder: Builder
    node: Node
    inputs: list[Operand]
    shape: Shape  # of the output, without the batch
    settings: Settings

    @property
    def data(self) -> Tensor:
        """The first input, stored as it should be."""
        return self.tensor(0)

    def tensor(self, position: int) -> Tensor:
        """Return an input that is computed from the data, as an image or a vector; refuses a weight."""
        found = self.inputs[position]
        if isinstance(found, np.ndarray):
            raise self.refusal("it computes with weights alone")
        if found.order:
            found = self.inputs[position] = self.builder.plain(self.node.name, found)
        return found

    def weight(self, position: int) -> np.ndarray:
        """Return an input that is a weight; refuses one that is computed."""
        found = self.inputs[position]
        if isinstance(found, Tensor):
            raise self.refusal("its parameters are no weights")
        return found

    def apply(self, *steps: Step) -> Tensor:
        """Apply ``steps`` to every element of the data."""
        return self.builder.apply(self.node.name, self.data, *steps)

    def new(self) -> Tensor:
        """Return a new array of the shape of the output."""
        return self.builder.tensor(self.shape)

    def axis(self, value: int) -> int:
        """Return an axis of the data without the batch; that of the batch is refused."""
        rank = len(self.data.shape) + 1
        if value % rank == 0 or not -rank <= value < rank:
            raise self.refusal(f"it computes along axis {value}, and the file computes one item")
        return value % rank - 1

    def refusal(self, reason: str) -> ZooError:
        """Return the error to raise: this operator cannot be written as C, for this reason."""
        return self.settings.refusal(reason)
