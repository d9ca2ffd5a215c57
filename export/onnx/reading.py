"""Read an ONNX file, checked before a runtime sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.onnx.model import check, package
from export.runtimes import data_of
from zoo.errors import ZooError
from zoo.io import files

_LARGEST = 2**31  # bytes: protobuf reads no more


@dataclass(frozen=True)
class Model:
    """An ONNX file with one input, and what it states about itself."""

    origin: str
    content: bytes
    batch: int | None  # None if it is open
    item: tuple[int | None, ...]  # the shape of one item; a size is None if it is open
    uint8: bool
    softmax: bool
    int8: bool  # whether it computes with 8-bit integers


def read(path: Path) -> Model:
    """Read the file ``path``; raises :class:`ZooError` for anything that :func:`export.verify` cannot run."""
    return decode(files.read(path, most=_LARGEST), str(path))


def decode(content: bytes, origin: str) -> Model:
    """Check ``content``, an ONNX file that messages call ``origin``."""
    onnx = package()
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_from_string(content).graph
    except DecodeError:
        raise ZooError(f"{origin} is not valid ONNX: it is damaged, or another kind of file") from None
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in graph.initializer):
        raise ZooError(
            f"{origin} keeps weights in files beside it, which are not read here: put all into one file with "
            "onnx.save(onnx.load(FILE), ONE_FILE)"
        )
    check(content, f"{origin} is not valid ONNX")
    inputs = data_of(graph)
    if len(inputs) != 1 or not graph.output:
        raise ZooError(
            f"{origin} has {len(inputs)} inputs and {len(graph.output)} outputs: a file can be verified that has one "
            "input, the data, and at least one output"
        )
    tensor, element = inputs[0].type.tensor_type, onnx.TensorProto.DataType
    if tensor.elem_type not in (element.FLOAT, element.UINT8):  # 0, which is neither, if it is no tensor
        kind = element.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
        raise ZooError(f"{origin} takes {kind}, and only files that take FLOAT or UINT8 can be verified")
    others = [each.name for each in graph.output if each.type.tensor_type.elem_type in (0, element.STRING)]
    if others:
        raise ZooError(f"{origin} puts out {others[0]}, which is no tensor of numbers and cannot be verified")
    # A size without a value is a name or nothing, and open.
    sizes = [each.dim_value if each.HasField("dim_value") else None for each in tensor.shape.dim]
    if not sizes or any(size is not None and size < 1 for size in sizes):
        raise ZooError(f"{origin} takes data of the shape ({', '.join(map(str, sizes))}), which cannot hold items")
    return Model(
        origin, content, sizes[0], tuple(sizes[1:]),
        uint8=tensor.elem_type == element.UINT8, softmax=graph.output[0].name == "probabilities",
        int8=any(node.op_type == "QuantizeLinear" for node in graph.node),
    )  # fmt: skip
