"""OpenVINO's side: inference of the exported model in float32 or bfloat16.

With the hint LATENCY, all threads share a batch. With THROUGHPUT, OpenVINO decides how many batches run at once, and
results are collected as they arrive.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.sides import checks
from bench.sides.batches import Order, in_batches, scaled, timed
from bench.sides.wire import Prepared, serve
from zoo.errors import ZooError

_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def prepare(request: dict[str, Any]) -> Prepared:
    """Compile the model with the requested hint, and load the images."""
    import openvino

    from export.runtimes import openvino_model
    from zoo.data.named import load_data

    mnist, batch_size = load_data(request["data"]), request["batch_size"]
    compiled = openvino_model(
        Path(request["folder"]) / "trained.onnx", batch_size, _PRECISIONS[request["dtype"]],
        PERFORMANCE_HINT=request["hint"], INFERENCE_NUM_THREADS=request["threads"],
    )  # fmt: skip
    single, queue = compiled.create_infer_request(), openvino.AsyncInferQueue(compiled)
    queue.set_callback(lambda done, results: results.append(done.get_output_tensor().data.copy()))

    def logits(images: np.ndarray) -> np.ndarray:
        return single.infer({0: scaled(images)})[0]

    def infer(indices: list[np.ndarray]) -> None:
        if request["hint"] == "LATENCY":
            for index in indices:
                logits(mnist.train.images[index])
            return
        results: list[np.ndarray] = []
        for index in indices:
            queue.start_async({0: scaled(mnist.train.images[index])}, results)
        queue.wait_all()
        if len(results) != len(indices):
            raise ZooError(f"{len(results)} of {len(indices)} batches came back")

    def check() -> dict[str, float]:
        outputs = in_batches(logits, mnist.test.images[: checks.IMAGES], batch_size)
        return checks.measure(request["folder"], "trained", outputs)

    order = Order(len(mnist.train), batch_size)
    return Prepared(lambda batches: timed(infer, order, batches, batch_size), check)


if __name__ == "__main__":
    serve(prepare)
