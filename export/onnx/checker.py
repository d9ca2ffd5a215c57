"""The package onnx, and its checker."""

from __future__ import annotations

from types import ModuleType

from zoo.errors import ZooError


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
