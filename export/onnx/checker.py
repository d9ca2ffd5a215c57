"""The package onnx: its checker, and its nodes."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from export.onnx.graph import Operation
from zoo.errors import ZooError

if TYPE_CHECKING:
    import onnx


def package() -> ModuleType:
    """Import the package onnx, an extra; raises :class:`ZooError` if it is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError as error:
        raise ZooError(f"writing ONNX files needs the package onnx ({error}): pip install '.[onnx]'") from None
    return onnx


def check(model: bytes | str, claim: str) -> None:
    """Run ONNX's full checker with strict shape inference on a file's content, or on a path if weights lie beside it.

    The :class:`ZooError` has ``claim`` and what was found.
    """
    onnx = package()
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ZooError(f"{claim}: {lines[0]}") from None


def element(dtype: np.dtype) -> int:
    """Return ONNX's number of ``dtype``."""
    return package().helper.np_dtype_to_tensor_dtype(dtype)


def onnx_node(operation: Operation) -> onnx.NodeProto:
    """Return ``operation`` as ONNX has it; attributes may be dtypes, and those of None are left out."""
    attributes = {
        key: element(value) if isinstance(value, np.dtype) else value
        for key, value in operation.attributes.items()
        if value is not None
    }
    return package().helper.make_node(
        operation.operator, operation.inputs, operation.outputs, name=operation.name, **attributes
    )
