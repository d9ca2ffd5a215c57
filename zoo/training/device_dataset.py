"""A data set that resides on the devices, and results read a few batches late instead of waiting for the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.runtime import mx

# Batches enqueued ahead of the one whose result is read: enough that the device never runs dry, few enough that
# divergence surfaces at once and memory does not pile up.
LOOKAHEAD = 8

Pending = TypeVar("Pending")


class DeviceDataset:
    """A data set on every context, as uint8; batches are gathered there by index, so only indices are transferred."""

    def __init__(self, dataset: Dataset, contexts: Sequence[mx.Context]) -> None:
        if not isinstance(dataset, Dataset):
            raise ZooError(
                f"the data must be a zoo.Dataset, such as zoo.load_mnist().train, not a {type(dataset).__name__}"
            )
        self.contexts = list(contexts)
        self.count = len(dataset)
        self.images = [mx.nd.array(dataset.images[:, None], ctx=ctx, dtype="uint8") for ctx in self.contexts]
        self.labels = [mx.nd.array(dataset.labels, ctx=ctx, dtype="uint8") for ctx in self.contexts]

    def batches(
        self, order: np.ndarray, batch_size: int, *beside: np.ndarray
    ) -> Iterator[tuple[int, list[tuple[mx.nd.NDArray, ...]]]]:
        """Split ``order``, indices into the data set, into batches; the last one may be smaller.

        Yields the number of images and, for each context, its int32 indices with its part of each array in ``beside``.
        Contexts share a batch as evenly as possible; if it has fewer images than there are contexts, the last contexts
        get none.
        """
        arrays = (order.astype(np.int32), *beside)
        wholes = [[on_device(array, ctx) for array in arrays] for ctx in self.contexts]
        ways = len(wholes)
        for start in range(0, len(order), batch_size):
            images = min(batch_size, len(order) - start)
            share, extra = divmod(images, ways)
            shards, low = [], start
            for device_index, whole in enumerate(wholes):
                high = low + share + (device_index < extra)
                if high > low:
                    shards.append(tuple(whole if high - low == len(order) else [each[low:high] for each in whole]))
                low = high
            yield images, shards


def on_device(array: np.ndarray, ctx: mx.Context) -> mx.nd.NDArray:
    """Copy ``array`` to ``ctx`` with its dtype; ``mx.nd.array`` takes three times as long."""
    copy = mx.nd.empty(array.shape, ctx, array.dtype)
    copy._sync_copyfrom(array)
    return copy


def lagging(enqueued: Iterable[Pending]) -> Iterator[Pending]:
    """Yield the items of ``enqueued``, :data:`LOOKAHEAD` items late, and the rest at the end."""
    waiting: deque[Pending] = deque()
    for item in enqueued:
        waiting.append(item)
        if len(waiting) > LOOKAHEAD:
            yield waiting.popleft()
    yield from waiting
