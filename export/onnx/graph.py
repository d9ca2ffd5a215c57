"""The ONNX graph under construction, and the operator that is being translated into it."""

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
Shape = tuple[Union[int, str, None], ...]  # BATCH, or None if a dimension depends on the batch in another way


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph."""

    name: str
    shape: Shape
    dtype: np.dtype
    value: np.ndarray | None = None  # set for a weight

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def holding(self, value: np.ndarray) -> Tensor:
        """Return the weight with another value."""
        return replace(self, shape=value.shape, value=value)


@dataclass
class Operation:
    """An ONNX node, with its tensors by name."""

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, object]  # None values are left out of the file
    origin: Settings | None = None  # those of MXNet's operator that it translates


@dataclass
class OnnxGraph:
    """Operations in topological order, and the constants that they take."""

    opset: int
    data: str  # the name of the first input
    taken: set[str]  # names in use
    operations: list[Operation] = field(default_factory=list)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """Reserve and return ``name``, with a number if it is taken."""
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
        """Keep ``value`` as an initializer; returns its name, which has a number if ``name`` is taken."""
        name = self.unique(name)
        self.initializers[name] = value
        return name

    def rename(self, old: str, new: str) -> None:
        """Rename the tensor ``old``, the output of an operation, to ``new``."""
        for operation in self.operations:
            operation.inputs = [new if name == old else name for name in operation.inputs]
            operation.outputs = [new if name == old else name for name in operation.outputs]

    def prune(self, needed: set[str]) -> None:
        """Remove what the tensors ``needed`` do not depend on, such as weights that were folded into others."""
        kept = []
        for operation in reversed(self.operations):
            if needed & set(operation.outputs):
                needed = needed.union(operation.inputs)
                kept.append(operation)
        self.operations = kept[::-1]
        self.initializers = {name: value for name, value in self.initializers.items() if name in needed}

    def _name(self, tensor: Tensor) -> str:
        """Return the name of ``tensor``; a weight becomes an initializer at its first use."""
        if tensor.value is None:
            return tensor.name
        known = self.initializers.setdefault(tensor.name, tensor.value)
        if known is tensor.value or np.array_equal(known, tensor.value):
            return tensor.name
        return self.constant(tensor.name, tensor.value)  # the same weight with two values


@dataclass
class Call:
    """An operator of MXNet's graph that is being translated to ONNX."""

    graph: OnnxGraph
    node: Node
    name: str  # in the ONNX graph
    inputs: list[Tensor]
    outputs: list[tuple[Shape, np.dtype]]
    settings: Settings

    @property
    def operator(self) -> str:
        """The operator's name in MXNet."""
        return self.node.operator

    @property
    def data(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return self.outputs[0][0]

    @property
    def opset(self) -> int:
        """The opset of the ONNX file."""
        return self.graph.opset

    def add(self, operator: str, *inputs: Tensor | str, suffix: str = "", **attributes: object) -> str:
        """Append an ONNX node; returns the name of its output: the operator's, with a ``suffix`` if intermediate."""
        output = self.graph.unique(f"{self.name}_{suffix}") if suffix else self.name
        self.graph.add(operator, inputs, [output], **attributes)
        return output

    def constant(self, suffix: str, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Add an initializer named after this operator; returns its name."""
        return self.graph.constant(f"{self.name}_{suffix}", np.asarray(value, dtype))

    def integers(self, suffix: str, values: Sequence[int]) -> str:
        """Add an int64 initializer, such as axes or sizes; returns its name."""
        return self.constant(suffix, list(values), np.int64)

    def number(self, suffix: str, value: float) -> str:
        """Add a scalar initializer in the data's dtype; returns its name."""
        return self.constant(suffix, value, self.data.dtype)

    def axis(self, value: int) -> int:
        """Return an axis of the data counted from the front; an axis out of range is refused."""
        if not -self.data.rank <= value < self.data.rank:
            raise self.refusal(f"it has no axis {value} in {self.data.rank} dimensions")
        return value % self.data.rank

    def refusal(self, reason: str) -> ZooError:
        """Return the error to raise: this operator cannot be written as ONNX, for this reason."""
        return self.settings.refusal(reason)
