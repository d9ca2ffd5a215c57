"""An ONNX file as operations and constants, in NumPy's terms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from export.onnx import reading
from export.onnx.checker import package
from export.onnx.options import OPSETS
from zoo.errors import ZooError
from zoo.io import private

if TYPE_CHECKING:
    import onnx

_DOMAINS = ("", "ai.onnx")  # the two names of ONNX's own operators
Sizes = tuple[Union[int, None], ...]  # None if a size is open


@dataclass(frozen=True)
class Operation:
    """An ONNX node, with its tensors by name; a name is empty if an optional tensor is left out."""

    operator: str  # with its domain if it is not one of ONNX's own
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, object]


@dataclass(frozen=True)
class Source:
    """A checked ONNX file with one input."""

    origin: str
    opset: int
    data: str  # the name of its input
    dtype: np.dtype  # of its input
    batch: int | None  # None if it is open
    item: Sizes
    operations: list[Operation]  # without those that no output depends on
    constants: dict[str, np.ndarray]
    outputs: list[str]
    needed: set[str]  # the names of the tensors that the outputs depend on
    sizes: dict[str, Sizes]  # of every tensor for which ONNX's shape inference knows them


def read(path: Path) -> Source:
    """Read the file ``path``; raises :class:`ZooError` if it is damaged, or no graph with one input."""
    onnx = package()
    with private.folder() as folder:
        checked = reading.read(path, str(path), folder)
        model = onnx.shape_inference.infer_shapes(onnx.load(checked.path), data_prop=True)
    data, *others = checked.inputs
    if others:
        raise ZooError(
            f"{path} cannot be imported: it has {1 + len(others)} inputs, and networks here take one, the data"
        )
    if data.dtype not in (np.float32, np.uint8):
        raise ZooError(f"{path} cannot be imported: it takes {data.dtype}, and not float32 or uint8")
    graph = model.graph
    opset = next((each.version for each in model.opset_import if each.domain in _DOMAINS), 0)
    if opset not in OPSETS:
        raise ZooError(
            f"{path} has opset {opset}, and {OPSETS[0]} to {OPSETS[-1]} are imported: convert it with "
            "onnx.version_converter"
        )
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ZooError(f"{path} cannot be imported: {name} is sparse, and MXNet's networks hold dense weights")
    try:
        constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        operations = [_operation(node, number) for number, node in enumerate(graph.node)]
    except Exception as error:  # what the checker lets through is damaged in many ways
        raise ZooError(f"{path} is damaged: its constants cannot be read ({first_line(error)})") from None
    outputs = [each.name for each in graph.output]
    names = [name for each in operations for name in (each.operator, each.name, *each.inputs, *each.outputs)]
    if not all(isinstance(name, str) for name in (*names, *constants, *outputs, data.name)):  # bytes if not in UTF-8
        raise ZooError(f"{path} is damaged: a name in it is no text")
    needed = set(outputs)
    for each in reversed(operations):  # each comes after those it depends on
        if needed & set(each.outputs):
            needed.update(filter(None, each.inputs))
    known = [*graph.value_info, *graph.output]
    return Source(
        str(path), opset, data.name, data.dtype, data.batch, data.item,
        [each for each in operations if needed & set(each.outputs)], constants, outputs, needed,
        {each.name: _sizes(each) for each in known if each.type.tensor_type.HasField("shape")},
    )  # fmt: skip


def _operation(node: onnx.NodeProto, number: int) -> Operation:
    operator = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
    outputs = list(node.output)
    name = node.name or next(filter(None, outputs), f"{operator}_{number}")
    return Operation(operator, name, list(node.input), outputs, {each.name: _value(each) for each in node.attribute})


def _value(attribute: onnx.AttributeProto) -> object:
    onnx = package()
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _sizes(value: onnx.ValueInfoProto) -> Sizes:
    return tuple(each.dim_value if each.HasField("dim_value") else None for each in value.type.tensor_type.shape.dim)


def first_line(error: Exception) -> str:
    """Return what ``error`` says first."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:100]
