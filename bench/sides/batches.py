"""The data as every side gets it: the same images in the same order, uint8 in memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.sides import checks
from bench.sides.wire import Prepared


class Order:
    """Indices of full batches in one random order, over and over: the order of :class:`bench.measure.Workload`."""

    def __init__(self, images: int, batch_size: int) -> None:
        self._order = np.random.default_rng(0).permutation(images)
        self._batch_size, self._position = batch_size, 0

    def take(self, batches: int) -> Iterator[np.ndarray]:
        """Yield the indices of the next ``batches``; after the last full batch, the order starts again."""
        for _ in range(batches):
            if self._position + self._batch_size > len(self._order):
                self._position = 0
            self._position += self._batch_size
            yield self._order[self._position - self._batch_size : self._position]


def scaled(images: np.ndarray) -> np.ndarray:
    """Convert uint8 images ``(n, 28, 28)`` to float32 pixels ``(n, 1, 28, 28)`` in [0, 1]."""
    pixels = images[:, None].astype(np.float32)
    pixels *= 1 / 255
    return pixels


def in_batches(forward: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the logits of ``images`` from a function of ``batch_size`` images; the first ones fill the last batch."""
    rounds = -(-len(images) // batch_size)
    padded = np.resize(images, (rounds * batch_size, *images.shape[1:]))
    return np.concatenate([forward(part) for part in np.split(padded, rounds)])[: len(images)]


def timed(work: Callable[[list[np.ndarray]], object], order: Order, batches: int, batch_size: int) -> dict[str, float]:
    """Time ``work``, which processes that many batches of indices and returns when the last one is done."""
    indices = list(order.take(batches))
    start = time.perf_counter()
    work(indices)
    return {"seconds": time.perf_counter() - start, "images": batches * batch_size}


def forward_passes(
    forward: Callable[[np.ndarray], np.ndarray],
    request: dict[str, Any],
    many: Callable[[Iterator[np.ndarray]], None] | None = None,
) -> Prepared:
    """Return a side that only predicts.

    ``forward`` computes the logits of a batch of float32 pixels ``(batch, 1, 28, 28)``. ``many`` does the same for an
    iterator of batches and returns when all are done; if None, they are computed one after another.
    """
    from zoo.data.named import load_data

    mnist, batch_size = load_data(request["data"]), request["batch_size"]

    def infer(indices: list[np.ndarray]) -> None:
        batches = (scaled(mnist.train.images[index]) for index in indices)
        if many is not None:
            many(batches)
        else:
            deque(map(forward, batches), maxlen=0)

    def check() -> dict[str, float]:
        outputs = in_batches(lambda images: forward(scaled(images)), mnist.test.images[: checks.IMAGES], batch_size)
        return checks.measure(request["folder"], request["start"], outputs)

    order = Order(len(mnist.train), batch_size)
    return Prepared(lambda batches: timed(infer, order, batches, batch_size), check)
