"""Read an ONNX file, checked before a runtime sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.onnx.checker import check, package
from export.runtimes.runtime import data_of
from zoo.errors import ZooError
from zoo.io import files

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message

_LARGEST = 2**31  # bytes: protobuf reads no more
_ELEMENTS = ("FLOAT", "UINT8", "INT32", "INT64")  # of inputs


@dataclass(frozen=True)
class Input:
    """What an ONNX file takes."""

    name: str
    dtype: np.dtype
    batch: int | None  # None if it is open
    item: tuple[int | None, ...]  # the shape of one item; a size is None if it is open


@dataclass(frozen=True)
class Model:
    """An ONNX file, and what it states about itself."""

    origin: str  # what messages call it
    path: Path  # a private copy, with its weights beside it if it keeps them there
    inputs: tuple[Input, ...]
    softmax: bool
    int8: bool  # whether it computes with 8-bit integers

    @property
    def batch(self) -> int | None:
        """The batch size; None if it is open."""
        return next((each.batch for each in self.inputs if each.batch is not None), None)


def read(path: Path, origin: str, folder: Path) -> Model:
    """Copy the file ``path``, and the weights that it keeps beside it, to the private ``folder``, and check the copy.

    Messages call the file ``origin``. Raises :class:`ZooError` for anything that :func:`export.verify` cannot run.
    """
    onnx = package()
    from google.protobuf.message import DecodeError

    content = files.read(path, most=_LARGEST)
    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        raise ZooError(f"{origin} is not valid ONNX: it is damaged, or another kind of file") from None
    beside = _names_beside(model, origin)
    for name in beside:
        try:
            files.copy(path.with_name(name), folder / name)
        except ZooError as error:
            raise ZooError(f"{origin} keeps weights in a file beside it: {error}") from None
    _check_ends(model, origin, folder)
    copy = folder / "model.onnx"
    while copy.name in beside:
        copy = copy.with_name(f"_{copy.name}")
    files.write_together({copy: content})
    check(str(copy) if beside else content, f"{origin} is not valid ONNX")
    graph = model.graph
    inputs = data_of(graph)
    if not inputs or not graph.output:
        raise ZooError(
            f"{origin} has {len(inputs)} inputs and {len(graph.output)} outputs: a file can be verified that has at "
            "least one of both"
        )
    others = [each.name for each in graph.output if each.type.tensor_type.elem_type in (0, onnx.TensorProto.STRING)]
    if others:
        raise ZooError(f"{origin} puts out {others[0]}, which is no tensor of numbers and cannot be verified")
    read_inputs = tuple(_input(each, origin) for each in inputs)
    sizes = {each.batch for each in read_inputs} - {None}
    if len(sizes) > 1:
        raise ZooError(f"{origin} has inputs of different batch sizes, {', '.join(map(str, sizes))}: they must agree")
    return Model(
        origin, copy, read_inputs, softmax=graph.output[0].name == "probabilities",
        int8=any(node.op_type == "QuantizeLinear" for node in graph.node),
    )  # fmt: skip


def _names_beside(model: onnx.ModelProto, origin: str) -> set[str]:
    """Return the names of the files beside the model that hold weights; refuses what would lead elsewhere."""
    found = set()
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            name = {each.key: each.value for each in tensor.external_data}.get("location", "")
            if name in ("", "..") or name != Path(name).name or "\0" in name:
                raise ZooError(f"{origin} keeps weights in {name!r}, and only a file beside it is read, by its name")
            found.add(name)
    return found


def _check_ends(model: onnx.ModelProto, origin: str, folder: Path) -> None:
    """Refuse weights that end after the file beside the model does."""
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            place = {each.key: each.value for each in tensor.external_data}
            numbers = [place.get(key, "0") for key in ("offset", "length")]
            size = (folder / place["location"]).stat().st_size
            if not all(each.isdecimal() for each in numbers) or sum(map(int, numbers)) > size:
                raise ZooError(
                    f"{origin} keeps the weights {tensor.name} in {place['location']}, where they are not whole: the "
                    "file is damaged, or belongs to another model"
                )


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Yield all tensors within ``message``: weights, attributes, and those of graphs in attributes."""
    if isinstance(message, package().TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(each)


def _input(value: onnx.ValueInfoProto, origin: str) -> Input:
    onnx = package()
    tensor, element = value.type.tensor_type, onnx.TensorProto.DataType
    if tensor.elem_type not in map(element.Value, _ELEMENTS):  # 0, which is none of them, if it is no tensor
        kind = element.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
        raise ZooError(f"{origin} takes {kind}, and only files that take {', '.join(_ELEMENTS)} can be verified")
    # A size without a value is a name or nothing, and open.
    sizes = [each.dim_value if each.HasField("dim_value") else None for each in tensor.shape.dim]
    if not sizes or any(size is not None and size < 1 for size in sizes):
        raise ZooError(f"{origin} takes data of the shape ({', '.join(map(str, sizes))}), which cannot hold items")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Input(value.name, dtype, sizes[0], tuple(sizes[1:]))
