"""What all sides of a comparison are given: ``python -m bench.sides.handover MODEL DATA FOLDER``.

Plain Gluon trains the model in float32 for a few batches, in a loop that shares nothing with the measured one, and
writes to FOLDER what the sides start from and are checked against.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides.batches import Order, scaled
from bench.sides.checks import BATCHES, IMAGES
from bench.sides.plain import plain
from export import to_onnx
from zoo import models
from zoo.data import Dataset
from zoo.data.named import load_data
from zoo.errors import ZooError
from zoo.graph.ir import Graph
from zoo.models import weights
from zoo.models.architectures import MODELS
from zoo.runtime import mx

_TRAINED = 12  # batches; enough for meaningful running statistics and logits
_DRAWS = 5  # of Dropout, to see how much the losses depend on them


def main(model: str, data: str | None, folder: Path) -> None:
    """Write the graph, the weights before and after training, the ONNX file, the reference results and the facts."""
    mnist = load_data(data)
    net = models.get_model(model, seed=0)
    graph = net(mx.sym.var("data"))
    (folder / "graph.json").write_text(graph.tojson())
    initial = _write(net, mnist.test, folder / "initial")
    losses = [_train(net, mnist.train, model, _TRAINED, draw=0)]
    trained = _write(net, mnist.test, folder / "trained")
    if any(node.operator == "Dropout" for node in Graph.of(graph).nodes()):
        draws = range(1, _DRAWS)
        losses += [_train(models.get_model(model, seed=0), mnist.train, model, BATCHES, draw) for draw in draws]
    of_draws = [np.mean(each[:BATCHES]) for each in losses]
    np.savez(folder / "reference.npz", losses=of_draws, initial=initial, trained=trained)
    recipe = plain(MODELS[model].recipe)
    facts: dict[str, float | str | None] = {
        "learning_rate": recipe.learning_rate,
        "momentum": recipe.momentum,
        "weight_decay": recipe.weight_decay,
        "nesterov": recipe.optimizer == "nag",
        "onnx": None,
    }
    try:
        to_onnx(net, folder / "trained.onnx")
    except ZooError as error:
        facts["onnx"] = str(error)
    (folder / "facts.json").write_text(json.dumps(facts))


def _write(net: mx.gluon.HybridBlock, test: Dataset, path: Path) -> np.ndarray:
    """Save the weights to ``path`` with ``.npz`` added; returns the logits of the first test images."""
    logits = net(mx.nd.array(scaled(test.images[:IMAGES]))).asnumpy()
    arrays: dict[str, Any] = {name.split(":", 1)[1]: array for name, array in weights.state(net).items()}
    np.savez(path, **arrays)
    return logits


def _train(net: mx.gluon.HybridBlock, train: Dataset, model: str, batches: int, draw: int) -> list[float]:
    """The mean loss of each batch, in nats; ``draw`` is the seed of Dropout."""
    mx.random.seed(draw)
    net.hybridize()
    recipe = plain(MODELS[model].recipe)
    settings = {"learning_rate": recipe.learning_rate, "wd": recipe.weight_decay}
    if recipe.momentum:
        settings["momentum"] = recipe.momentum
    trainer = mx.gluon.Trainer(net.collect_params(), recipe.optimizer, settings)
    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    losses = []
    for index in Order(len(train), recipe.batch_size).take(batches):
        with mx.autograd.record():
            logits = net(mx.nd.array(scaled(train.images[index])))
            loss = cross_entropy(logits, mx.nd.array(train.labels[index]))
        loss.backward()
        trainer.step(len(index))
        losses.append(float(loss.mean().asscalar()))
    return losses


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] or None, Path(sys.argv[3]))
