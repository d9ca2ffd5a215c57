"""The data as every side gets it: the same images in the same order, uint8 in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np


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
