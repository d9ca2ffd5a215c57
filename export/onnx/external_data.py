"""Weights in a file beside the ONNX file, since protobuf writes 2 GiB at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

LARGEST = 2**31 - 2**20  # bytes of weights: the most that protobuf can write as one message
_ALIGNMENT = 4096  # bytes, so that runtimes can map the weights into memory
_SMALLEST = 1024  # bytes: what is smaller, such as shapes, stays in the model, where ONNX's shape inference looks


def taken(initializers: dict[str, np.ndarray], always: bool) -> dict[str, np.ndarray]:
    """Remove from ``initializers`` what belongs beside the file, if they are too large for it or ``always``."""
    if not always and sum(array.nbytes for array in initializers.values()) <= LARGEST:
        return {}
    names = [name for name, array in initializers.items() if array.nbytes >= _SMALLEST]
    return {name: initializers.pop(name) for name in names}


def placed(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray], location: str) -> bytes:
    """Add ``arrays`` to the weights of ``model``, and return the content of the file ``location`` that holds them."""
    import onnx

    parts: list[bytes | memoryview] = []
    end = 0
    for name, array in arrays.items():
        padding = -end % _ALIGNMENT
        parts += [bytes(padding), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data]
        tensor = model.graph.initializer.add(
            name=name, dims=array.shape, data_type=onnx.helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=onnx.TensorProto.EXTERNAL,
        )  # fmt: skip
        for key, value in (("location", location), ("offset", end + padding), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        end += padding + array.nbytes
    return b"".join(parts)
