"""The network under construction, and the ONNX operation that is being translated into it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from export.inference import INPUT
from export.loading import COUNTS, LARGEST_COUNT
from export.onnx.importing.source import Operation
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph import shapes
from zoo.graph.ir import Graph, Node, Output
from zoo.graph.shapes import Shape
from zoo.runtime import mx

FLOAT32 = np.dtype(np.float32)

Value = TypeVar("Value")


class Refusal(Exception):
    """Why an operation cannot be translated."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the ONNX graph: a constant, or the output of a node of the network."""

    name: str
    dtype: np.dtype  # in ONNX
    shapes: tuple[Shape, ...]  # one for each batch size that is tried
    output: Output | None = None  # None for a constant
    values: tuple[np.ndarray, ...] | None = None  # of a constant, one for each batch size
    held: np.dtype = FLOAT32  # the dtype in MXNet, which has no Booleans and whose indices are floats
    origin: str = ""  # of a constant: the name of the parameter that it becomes

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shapes[0])

    @property
    def is_constant(self) -> bool:
        """Whether its values are known."""
        return self.values is not None

    @property
    def depends(self) -> bool:
        """Whether a constant depends on the batch size."""
        values = self.values or ()
        return any(each is not values[0] and not np.array_equal(each, values[0]) for each in values)

    @property
    def value(self) -> np.ndarray:
        """The value of a constant, which is the same for every batch size."""
        if self.values is None:
            raise Refusal(f"{self.name} is computed, and must be a constant here")
        if self.depends:
            raise Refusal(f"{self.name} depends on the batch size")
        return self.values[0]

    def size(self, axis: int) -> int:
        """Return the size along ``axis``; one that depends on the batch size is refused."""
        first, *others = (shape[axis] for shape in self.shapes)
        if any(other != first for other in others):
            raise Refusal(f"axis {axis} of its data is that of the batch, whose size is open")
        return first


@dataclass
class Parameter:
    """A parameter of the network."""

    node: Node
    value: np.ndarray
    is_trained: bool


@dataclass
class Network:
    """The nodes made so far, by way of their outputs, and the parameters that they take."""

    batches: tuple[int, ...]  # the batch sizes that are tried: what is the same for all does not depend on it
    taken: set[str] = field(default_factory=lambda: {INPUT})  # names of variables
    parameters: dict[str, list[Parameter]] = field(default_factory=dict)  # by the constant's name

    def parameter(self, tensor: Tensor, value: np.ndarray, is_trained: bool, is_own: bool) -> Tensor:
        """Return ``value``, a form of the constant ``tensor``, as a parameter; ``is_own`` shares it with no other."""
        if value.dtype != FLOAT32:
            raise Refusal(f"{tensor.name} is {value.dtype}, and networks are imported in float32")
        if not value.size:
            raise Refusal(f"{tensor.name} has no values")
        value = value.reshape(value.shape or (1,))  # MXNet has no scalars
        known = self.parameters.setdefault(tensor.origin, [])
        same = [each for each in known if np.array_equal(each.value, value)] if not is_own else []
        if same:
            same[0].is_trained |= is_trained
            node = same[0].node
        else:
            name = re.sub(r"[:\s]", "_", tensor.origin)  # in MXNet's files, a colon ends a prefix
            node = Node("null", self._unique(name))
            known.append(Parameter(node, value, is_trained))
        return Tensor(tensor.name, FLOAT32, (value.shape,) * len(self.batches), (node, 0))

    def _unique(self, name: str) -> str:
        chosen, number = name, 1
        while chosen in self.taken:
            number += 1
            chosen = f"{name}_{number}"
        self.taken.add(chosen)
        return chosen


class Call:
    """An ONNX operation that is being translated."""

    def __init__(self, network: Network, operation: Operation, inputs: list[Tensor | None]) -> None:
        self.network, self.operation, self.inputs = network, operation, inputs
        self._unread: set[str | int] = {*operation.attributes}
        self._unread.update(number for number, each in enumerate(inputs) if each is not None)

    @property
    def data(self) -> Tensor:
        """The first input, which a constant becomes a parameter for."""
        return self.computed(0)

    def optional(self, number: int) -> Tensor | None:
        """Return an input, or None if it is left out."""
        self._unread.discard(number)
        return self.inputs[number] if number < len(self.inputs) else None

    def input(self, number: int) -> Tensor:
        """Return an input that cannot be left out."""
        tensor = self.optional(number)
        if tensor is None:
            raise Refusal(f"it has no input {number}")
        return tensor

    def computed(self, number: int) -> Tensor:
        """Return an input as one of the network's tensors; a constant becomes a parameter that is not trained."""
        return self.in_network(self.input(number))

    def in_network(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` as one of the network's, as :meth:`computed` does."""
        return tensor if tensor.output else self.network.parameter(tensor, tensor.value, is_trained=False, is_own=False)

    def weight(self, number: int, value: np.ndarray | None = None, is_own: bool = False) -> Tensor:
        """Return a constant input as a parameter that is trained, with ``value`` for its own if given."""
        tensor = self.input(number)
        return self.network.parameter(tensor, tensor.value if value is None else value, is_trained=True, is_own=is_own)

    def get(self, key: str, default: Value) -> Value:
        """Return an attribute of the type of its ``default``."""
        self._unread.discard(key)
        value = self.operation.attributes.get(key, default)
        if not isinstance(value, type(default)) or (isinstance(value, float) and not math.isfinite(value)):
            raise Refusal(f"there is no translation of {key}={str(value)[:40]}")
        return value

    def integers(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that holds integers."""
        return tuple(map(int, self.get(key, list(default))))

    def only(self, key: str, *possible: Value) -> Value:
        """Return one of the ``possible`` values, the first of which is the default; any other is refused."""
        value = self.get(key, possible[0])
        if value not in possible:
            raise Refusal(f"there is no translation of {key}={value}")
        return value

    def ignore(self, *keys: str) -> None:
        """Mark attributes as read that do not change what is computed at inference."""
        self._unread.difference_update(keys)

    def constants(self, key: str, number: int) -> list[int] | None:
        """Return integers that are the input ``number``, or an attribute in older opsets; None if they are neither."""
        if key in self.operation.attributes:
            return list(self.integers(key, ()))
        tensor = self.optional(number)
        return None if tensor is None else [int(each) for each in np.atleast_1d(tensor.value)]

    def number(self, number: int) -> float | None:
        """Return a constant input that is a number, or None if it is left out."""
        tensor = self.optional(number)
        if tensor is None:
            return None
        if tensor.value.size != 1:
            raise Refusal(f"{tensor.name} is no single number")
        return float(tensor.value.reshape(()))

    def axis(self, value: int, rank: int | None = None) -> int:
        """Return an axis counted from the front, of the data unless a ``rank`` is given."""
        rank = self.input(0).rank if rank is None else rank
        if not -rank <= value < rank:
            raise Refusal(f"it has no axis {value} in {rank} dimensions")
        return value % rank

    def add(self, operator: str, *inputs: Tensor, **attributes: object) -> Tensor:
        """Append a node with one output; returns its output, of the dtypes of the first input."""
        return self.add_several(operator, *inputs, **attributes)[0]

    def add_several(self, operator: str, *inputs: Tensor, **attributes: object) -> list[Tensor]:
        """Append a node; returns its outputs."""
        for key in COUNTS & set(attributes):
            given = attributes[key]
            if not all(1 <= each <= LARGEST_COUNT for each in (given if isinstance(given, tuple) else (given,))):
                raise Refusal(f"it has {key}={given}, which is not from 1 to {LARGEST_COUNT}")
        texts = {key: str(value) for key, value in attributes.items()}
        node = Node(operator, self.operation.name, texts, [each.output for each in inputs if each.output])
        found = [_infer(node, [each.shapes[number] for each in inputs]) for number in range(len(self.network.batches))]
        return [
            replace(inputs[0], shapes=tuple(sizes), output=(node, number), values=None)
            for number, sizes in enumerate(zip(*found))
        ]

    def finish(self) -> None:
        """Refuse the operation if an attribute or an input was not read."""
        for key in sorted(self._unread, key=str):
            value = f"its input {key}" if isinstance(key, int) else f"{key}={str(self.operation.attributes[key])[:40]}"
            raise Refusal(f"there is no translation of {value}")


def _infer(node: Node, given: list[Shape]) -> list[Shape]:
    """Return the shapes of the outputs of ``node`` for inputs of these shapes."""
    variables = [Node("null", f"input {number}") for number in range(len(given))]
    alone = Node(node.operator, node.name, node.attributes, [(each, 0) for each in variables])
    known = {each.name: shape for each, shape in zip(variables, given)}
    try:
        return shapes.infer(Graph([(alone, 0)]), known)[alone.name]
    except ZooError as error:
        raise Refusal(str(error)) from None
    except mx.base.MXNetError as error:  # of attributes that it cannot read
        raise Refusal(mxnet_reason(error)) from None
