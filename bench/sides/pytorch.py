"""PyTorch's side: a plain training step or forward pass, in float32 or under bfloat16 autocast."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.sides import checks
from bench.sides.batches import Order, in_batches, timed
from bench.sides.wire import Prepared, serve

if TYPE_CHECKING:
    import torch


def prepare(request: dict[str, Any]) -> Prepared:
    """Build the network from the graph and the weights handed over, compiled if requested."""
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of compiler processes, which would stay alive
    import torch

    from bench.sides.torch_graph import network
    from zoo.data.named import load_data

    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    batch_size, folder = request["batch_size"], Path(request["folder"])
    mnist = load_data(request["data"])
    images = torch.from_numpy(mnist.train.images[:, None].copy())
    labels = torch.from_numpy(mnist.train.labels.astype(np.int64))
    layout = torch.channels_last if request["layout"] == "channels_last" else torch.contiguous_format
    nodes = json.loads((folder / "graph.json").read_text())["nodes"]
    with np.load(folder / f"{request['start']}.npz") as weights:
        net = network(nodes, weights).to(memory_format=layout)
    forward = torch.compile(net) if request["compiled"] else net
    reduced = torch.autocast("cpu", torch.bfloat16, enabled=request["dtype"] == "bfloat16")
    facts = json.loads((folder / "facts.json").read_text())
    optimizer = _sgd(net.parameters(), facts)

    def pixels(of: torch.Tensor) -> torch.Tensor:
        return of.to(torch.float32).mul_(1 / 255).contiguous(memory_format=layout)

    def logits(of: torch.Tensor) -> np.ndarray:
        with torch.inference_mode(), reduced:
            return forward(pixels(of)).float().numpy()

    def step(index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Run one training step; returns the mean loss and the number of correct images, like this project's loop."""
        where = torch.from_numpy(index)
        truth = labels.index_select(0, where)
        with reduced:
            guesses = forward(pixels(images.index_select(0, where)))
            loss = torch.nn.functional.cross_entropy(guesses, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), (guesses.argmax(1) == truth).sum()

    def train(indices: list[np.ndarray]) -> list[float]:
        results = [step(index) for index in indices]
        torch.stack([correct for _, correct in results]).sum().item()
        return torch.stack([loss for loss, _ in results]).tolist()

    def infer(indices: list[np.ndarray]) -> None:
        for index in indices:
            logits(images.index_select(0, torch.from_numpy(index)))

    order = Order(len(mnist.train), batch_size)
    training = request["phase"] == "train"

    def check() -> dict[str, float]:
        net.eval()
        tested = torch.from_numpy(mnist.test.images[: checks.IMAGES, None].copy())
        outputs = in_batches(lambda part: logits(torch.from_numpy(part)), tested.numpy(), batch_size)
        if not training:
            return checks.measure(folder, request["start"], outputs)
        net.train()
        losses = train(list(Order(len(mnist.train), batch_size).take(checks.BATCHES)))
        return checks.measure(folder, request["start"], outputs, losses)

    return Prepared(lambda batches: timed(train if training else infer, order, batches, batch_size), check)


def _sgd(parameters: Iterable[torch.nn.Parameter], facts: dict[str, Any]) -> torch.optim.Optimizer:
    import torch

    parameters = list(parameters)
    settings = {name: facts[name] for name in ("momentum", "weight_decay", "nesterov")}
    try:
        return torch.optim.SGD(parameters, facts["learning_rate"], fused=True, **settings)  # fastest where available
    except (RuntimeError, TypeError):
        return torch.optim.SGD(parameters, facts["learning_rate"], **settings)


if __name__ == "__main__":
    serve(prepare)
