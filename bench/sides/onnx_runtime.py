"""ONNX Runtime's side: float32 inference of the exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.sides.batches import forward_passes
from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Open a session for full batches."""
    from export.runtimes import onnx_runtime_session

    path = Path(request["folder"]) / "trained.onnx"
    session = onnx_runtime_session(path, request["batch_size"], request["threads"])
    return forward_passes(lambda pixels: session.run(None, {"data": pixels})[0], request)


if __name__ == "__main__":
    serve(prepare)
