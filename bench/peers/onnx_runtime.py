"""ONNX Runtime's side: float32 inference of the exported model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.peers import checks
from bench.peers.batches import Order, in_batches, scaled, timed
from bench.peers.wire import Prepared, serve


def prepare(request: dict) -> Prepared:
    import onnxruntime

    from zoo.cli.options import load_data

    mnist, batch_size = load_data(request["data"]), request["batch_size"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("batch", batch_size)  # known shapes are planned for
    model = str(Path(request["folder"]) / "trained.onnx")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def logits(images: np.ndarray) -> np.ndarray:
        return session.run(None, {"data": scaled(images)})[0]

    def infer(indices: list[np.ndarray]) -> None:
        for index in indices:
            logits(mnist.train.images[index])

    def check() -> dict:
        outputs = in_batches(logits, mnist.test.images[: checks.IMAGES], batch_size)
        return checks.measure(request["folder"], "trained", outputs)

    order = Order(len(mnist.train), batch_size)
    return Prepared(lambda batches: timed(infer, order, batches, batch_size), check)


if __name__ == "__main__":
    serve(prepare)
