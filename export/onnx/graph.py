"""The ONNX graph as it grows, and an operator's place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from export.onnx.settings import Settings
from zoo.errors import ZooError
from zoo.graph.ir import Node

BATCH = "batch"
Shape = tuple[Union[int, str, None], ...]  # BATCH, and None where a dimension depends on the batch in another way


@dataclass(frozen=True)
class Tensor:
    """One value of the graph."""

    name: str
    shape: Shape
    dtype: np.dtype
    value: np.ndarray | None = None  # of a weight

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def holding(self, value: np.ndarray) -> Tensor:
        """The weight with another value."""
        return replace(self, shape=value.shape, value=value)


@dataclass
class Operation:
    """A node of ONNX: tensors by name."""

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, object]  # those that are None are left out of the file


@dataclass
class OnnxGraph:
    """Operations in topological order, and the constants that they take."""

    opset: int
    taken: set[str]  # names
    operations: list[Operation] = field(default_factory=list)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """``name``, with a number if it is taken; taken from now on."""
        chosen, number = name, 1
        while chosen in self.taken:
            number += 1
            chosen = f"{name}_{number}"
        self.taken.add(chosen)
        return chosen

    def add(self, operator: str, inputs: Sequence[Tensor | str], outputs: Sequence[str], **attributes: object) -> None:
        """Append an operation, named after its first output."""
        names = [self._name(each) if isinstance(each, Tensor) else each for each in inputs]
        self.operations.append(Operation(operator, outputs[0], names, list(outputs), attributes))

    def constant(self, name: str, value: np.ndarray) -> str:
        """Keep ``value`` as an initializer; returns its name, which has a number where ``name`` is taken."""
        name = self.unique(name)
        self.initializers[name] = value
        return name

    def rename(self, old: str, new: str) -> None:
        """Give the tensor ``old``, which an operation puts out, another name."""
        for operation in self.operations:
            operation.inputs = [new if name == old else name for name in operation.inputs]
            operation.outputs = [new if name == old else name for name in operation.outputs]

    def _name(self, tensor: Tensor) -> str:
        """A weight enters the graph with the first operation that takes it."""
        if tensor.value is None:
            return tensor.name
        known = self.initializers.setdefault(tensor.name, tensor.value)
        if known is tensor.value or np.array_equal(known, tensor.value):
            return tensor.name
        return self.constant(tensor.name, tensor.value)  # the same weight, computed with in two ways


@dataclass
class Call:
    """One operator of MXNet's graph on its way into ONNX's."""

    graph: OnnxGraph
    node: Node
    name: str  # in the ONNX graph
    inputs: list[Tensor]
    outputs: list[tuple[Shape, np.dtype]]
    settings: Settings

    @property
    def operator(self) -> str:
        """Its name in MXNet."""
        return self.node.operator

    @property
    def data(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """Of the first output."""
        return self.outputs[0][0]

    @property
    def opset(self) -> int:
        """Of the ONNX file."""
        return self.graph.opset

    def add(self, operator: str, *inputs: Tensor | str, suffix: str = "", **attributes: object) -> str:
        """Append an ONNX node; returns the name of its output: the operator's, with a ``suffix`` for one on the way."""
        output = self.graph.unique(f"{self.name}_{suffix}") if suffix else self.name
        self.graph.add(operator, inputs, [output], **attributes)
        return output

    def constant(self, suffix: str, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """An initializer named after this operator."""
        return self.graph.constant(f"{self.name}_{suffix}", np.asarray(value, dtype))

    def integers(self, suffix: str, values: Sequence[int]) -> str:
        """An initializer of int64, such as axes and sizes."""
        return self.constant(suffix, list(values), np.int64)

    def number(self, suffix: str, value: float) -> str:
        """A scalar in the data's dtype."""
        return self.constant(suffix, value, self.data.dtype)

    def axis(self, value: int) -> int:
        """An axis of the data, counted from the front."""
        if not -self.data.rank <= value < self.data.rank:
            raise self.refusal(f"it has no axis {value} in {self.data.rank} dimensions")
        return value % self.data.rank

    def refusal(self, reason: str) -> ZooError:
        """The error to raise: this operator cannot be written as ONNX, for this reason."""
        return self.settings.refusal(reason)
