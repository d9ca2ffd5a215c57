"""ONNX Runtime's side: float32 inference of the exported model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.sides import checks
from bench.sides.batches import Order, in_batches, scaled, timed
from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Open a session for full batches, and load the images."""
    from export.runtimes import onnx_runtime_session
    from zoo.data.named import load_data

    mnist, batch_size = load_data(request["data"]), request["batch_size"]
    session = onnx_runtime_session(Path(request["folder"]) / "trained.onnx", batch_size, request["threads"])

    def logits(images: np.ndarray) -> np.ndarray:
        return session.run(None, {"data": scaled(images)})[0]

    def infer(indices: list[np.ndarray]) -> None:
        for index in indices:
            logits(mnist.train.images[index])

    def check() -> dict[str, float]:
        outputs = in_batches(logits, mnist.test.images[: checks.IMAGES], batch_size)
        return checks.measure(request["folder"], "trained", outputs)

    order = Order(len(mnist.train), batch_size)
    return Prepared(lambda batches: timed(infer, order, batches, batch_size), check)


if __name__ == "__main__":
    serve(prepare)
