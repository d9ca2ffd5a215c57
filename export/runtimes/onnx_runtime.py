"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from export.runtimes.runtime import Forward

if TYPE_CHECKING:
    import onnxruntime


def onnx_runtime_session(
    path: Path, batch: int | None = None, threads: int | None = None, optimizes: bool = True
) -> onnxruntime.InferenceSession:
    """Create an ``onnxruntime.InferenceSession``; with ``batch``, it plans for batches of that size.

    Without ``optimizes``, it computes the operators of the file one after the other, as they are.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if batch is not None:
        options.add_free_dimension_override_by_name("batch", batch)
    if not optimizes:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def open_file(path: Path) -> Forward:
    """Open ``path``."""
    session = onnx_runtime_session(path)
    names = [each.name for each in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays)))
