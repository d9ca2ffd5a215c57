"""This project's side without MXNet's engine: inference by ``zoo.compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.sides.batches import forward_passes
from bench.sides.ours import handed_over
from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Compile the model with the weights handed over."""
    import zoo

    weights = Path(request["folder"]) / f"{request['start']}.npz"
    net = zoo.get_model(handed_over(request["model"], weights), seed=0)
    return forward_passes(zoo.compile(net, threads=request["threads"], dtype=request["dtype"]), request)


if __name__ == "__main__":
    serve(prepare)
