"""OpenVINO's side: inference of the exported model in float32 or bfloat16.

With the hint LATENCY, all threads share a batch. With THROUGHPUT, OpenVINO decides how many batches run at once, and
results are collected as they arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides.batches import forward_passes
from bench.sides.wire import Prepared, serve
from zoo.errors import ZooError

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def prepare(request: dict[str, Any]) -> Prepared:
    """Compile the model with the requested hint."""
    import openvino

    from export.runtimes import openvino_model

    compiled = openvino_model(
        Path(request["folder"]) / "trained.onnx", request["batch_size"], _PRECISIONS[request["dtype"]],
        PERFORMANCE_HINT=request["hint"], INFERENCE_NUM_THREADS=request["threads"],
    )  # fmt: skip
    single, queue = compiled.create_infer_request(), openvino.AsyncInferQueue(compiled)
    queue.set_callback(lambda done, results: results.append(done.get_output_tensor().data.copy()))

    def forward(pixels: np.ndarray) -> np.ndarray:
        return single.infer({0: pixels})[0]

    def many(batches: Iterator[np.ndarray]) -> None:
        results: list[np.ndarray] = []
        started = 0
        for pixels in batches:
            queue.start_async({0: pixels}, results)
            started += 1
        queue.wait_all()
        if len(results) != started:
            raise ZooError(f"{len(results)} of {started} batches came back")

    return forward_passes(forward, request, None if request["hint"] == "LATENCY" else many)


if __name__ == "__main__":
    serve(prepare)
