"""This project's side: the loops behind ``zoo.fit`` and ``zoo.evaluate``, as ``python -m bench`` measures them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides import checks
from bench.sides.batches import Order
from bench.sides.plain import plain
from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Register the model with the weights handed over, and create its workload."""
    from bench.cells import Cell
    from bench.measure import Workload
    from zoo.data.named import load_data

    mnist = load_data(request["data"])
    model = handed_over(request["model"], Path(request["folder"]) / f"{request['start']}.npz")
    cell = Cell(model, "cpu(0)", request["dtype"], request["batch_size"], request["phase"])
    workload = Workload(cell, mnist.train)

    def run(batches: int) -> dict[str, float]:
        turns = [1] * batches if request["waited"] else [batches]
        done = [workload.run(turn) for turn in turns]
        return {"images": sum(each.images for each in done), "seconds": sum(each.seconds for each in done)}

    def check() -> dict[str, float]:
        tested = Workload(replace(cell, phase="infer"), mnist.test)
        logits = np.concatenate(tested.results(np.arange(checks.IMAGES)))
        if cell.phase == "infer":
            return checks.measure(request["folder"], request["start"], logits)
        order = np.concatenate(list(Order(len(mnist.train), cell.batch_size).take(checks.BATCHES)))
        losses = [result.loss / result.images for result in workload.results(order)]
        return checks.measure(request["folder"], request["start"], logits, losses)

    return Prepared(run, check)


def handed_over(model: str, path: Path) -> str:
    """Register ``model`` under another name, with the weights in ``path`` and the plain recipe; returns that name."""
    from zoo.models.architectures import MODELS
    from zoo.runtime import mx

    with np.load(path) as weights:
        arrays = dict(weights)

    class HandedOver(mx.init.Initializer):
        def __call__(self, description: mx.init.InitDesc, array: mx.nd.NDArray) -> None:
            array[:] = arrays[str(description)]

    name = f"{model} as handed over"
    entry = MODELS[model]
    MODELS.add(name, replace(entry, name=name, initializer=HandedOver(), recipe=plain(entry.recipe)))
    return name


if __name__ == "__main__":
    serve(prepare)
