"""How good a network is on a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zoo import contexts
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.runtime import mx
from zoo.training.resident import Resident, lagging, pixels, targets


@dataclass(frozen=True)
class Evaluation:
    """Predictions for a data set, and what they amount to."""

    predictions: np.ndarray  # (n,) int64 digits, in the order of the data set
    labels: np.ndarray  # (n,) uint8
    loss: float  # mean cross-entropy in nats

    @property
    def accuracy(self) -> float:
        return 1 - self.errors / len(self.labels)

    @property
    def errors(self) -> int:
        """Number of misclassified images."""
        return int((self.predictions != self.labels).sum())

    @property
    def confusion(self) -> np.ndarray:
        """Counts ``(10, 10)`` int64: row the digit, column the prediction."""
        return np.bincount(self.labels.astype(np.int64) * 10 + self.predictions, minlength=100).reshape(10, 10)


class _EvaluationStep(mx.gluon.HybridBlock):
    """From indices to predictions and losses as one cached graph, apart from training's so that neither evicts the other."""

    def __init__(self, net: mx.gluon.HybridBlock) -> None:
        super().__init__(prefix="")
        self.net = net
        self.cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()

    def hybrid_forward(self, F, images, labels, index):
        logits = self.net(pixels(F, images, index))
        return F.stack(F.argmax(logits, axis=1), self.cross_entropy(logits, targets(F, labels, index)))


class Evaluator:
    """A hybridized forward pass over data that lies on every context, to be run as often as wanted."""

    def __init__(
        self, net: mx.gluon.HybridBlock, dataset: Dataset, ctx: Sequence[mx.Context], batch_size: int = 500
    ) -> None:
        if batch_size < 1:
            raise ZooError(f"the batch size must be at least 1, not {batch_size}")
        self.dataset = dataset
        self.data = Resident(dataset, ctx)
        self._batch_size = batch_size
        self._step = _EvaluationStep(net)
        self._step.hybridize(static_alloc=True, static_shape=True)

    def run(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Predict the images at ``order``; yields ``(2, batch)`` float32, predictions and losses, batch by batch."""
        for shards in lagging(self._enqueue(order)):
            yield np.concatenate([shard.asnumpy() for shard in shards], axis=1)

    def evaluate(self) -> Evaluation:
        predictions, losses = np.concatenate(list(self.run(np.arange(self.data.count))), axis=1)
        return Evaluation(predictions.astype(np.int64), self.dataset.labels, float(losses.mean(dtype=np.float64)))

    def _enqueue(self, order: np.ndarray) -> Iterator[list[mx.nd.NDArray]]:
        for images, shards in self.data.batches(order, self._batch_size):
            yield [self._step(*inputs) for inputs in zip(self.data.images[:images], self.data.labels, shards)]


def evaluate(
    net: mx.gluon.HybridBlock,
    data: Dataset,
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
    batch_size: int = 500,
) -> Evaluation:
    """Accuracy, loss and confusion matrix of ``net`` on ``data``; ``ctx`` is where the network already is if None."""
    return Evaluator(net, data, place(net, ctx), batch_size).evaluate()


def place(net: mx.gluon.HybridBlock, ctx: mx.Context | Sequence[mx.Context] | str | None) -> list[mx.Context]:
    """Move the parameters of ``net`` to ``ctx`` if they are elsewhere; returns the contexts they are on."""
    parameters = net.collect_params()
    try:
        current = next(iter(parameters.values())).list_ctx()
    except (RuntimeError, StopIteration):
        raise ZooError("the network is not initialized: call net.initialize() before training or evaluating it") from None
    if ctx is None:
        return current
    wanted = contexts.check(ctx)
    if wanted != current:
        parameters.reset_ctx(wanted)
    return wanted
