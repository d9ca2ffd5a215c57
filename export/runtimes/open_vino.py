"""Intel's OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from export.runtimes.runtime import Forward

if TYPE_CHECKING:
    import openvino


def openvino_model(
    path: Path, batch: int | None = None, dtype: str = "f32", **settings: object
) -> openvino.CompiledModel:
    """Create an ``openvino.CompiledModel`` for the CPU that computes in ``dtype``; ``batch`` fixes the batch size."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if batch is not None:
        model.reshape([batch, *(dimension.get_length() for dimension in list(model.input(0).partial_shape)[1:])])
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": dtype, **settings})


def open_file(path: Path) -> Forward:
    """Open ``path``."""
    request = openvino_model(path).create_infer_request()
    return lambda *arrays: [value.copy() for value in request.infer(dict(enumerate(arrays))).values()]
