"""One network, its training data and its optimizer, ready to step: what ``fit`` drives and ``bench`` measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data import Dataset
from zoo.errors import UnknownName, ZooError
from zoo.recipes import Recipe
from zoo.registry import suggestion
from zoo.runtime import mx
from zoo.training.resident import Resident, lagging, pixels


@dataclass(frozen=True)
class BatchResult:
    """What one training step measured, before its update."""

    images: int
    loss: float  # sum of the cross-entropy over the images, in nats
    correct: int


class _TrainStep(mx.gluon.HybridBlock):
    """From indices to loss and metrics as one cached graph, so that a step costs one call into the engine."""

    def __init__(self, net: mx.gluon.HybridBlock) -> None:
        super().__init__(prefix="")
        self.net = net
        self.cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()

    def hybrid_forward(self, F, images, labels, index):
        truth = F.cast(F.take(labels, index), dtype="float32")
        logits = self.net(pixels(F, images, index))
        loss = F.sum(self.cross_entropy(logits, truth))
        correct = F.sum(F.broadcast_equal(F.argmax(logits, axis=1), truth))
        return loss, F.stack(loss, correct)


class TrainingSession:
    """A hybridized training step over data that lies on every context."""

    def __init__(
        self, net: mx.gluon.HybridBlock, train: Dataset, recipe: Recipe, contexts: Sequence[mx.Context]
    ) -> None:
        if recipe.batch_size > len(train):
            raise ZooError(f"the batch size {recipe.batch_size} is larger than the {len(train)} training images")
        if recipe.batch_size < len(contexts):
            raise ZooError(
                f"the batch size {recipe.batch_size} does not fill {len(contexts)} contexts: it must be at least that"
            )
        self.recipe = recipe
        self.data = Resident(train, contexts)
        self._step = _TrainStep(net)
        self._step.hybridize(static_alloc=True, static_shape=True)
        self._trainer = mx.gluon.Trainer(net.collect_params(), recipe.optimizer, _optimizer_parameters(recipe))
        self._shuffle = np.random.default_rng(recipe.seed)

    @property
    def learning_rate(self) -> float:
        return self._trainer.learning_rate

    def epoch(self) -> Iterator[BatchResult]:
        """Train on every image once, in a new random order; results come in order, a few batches late."""
        return self.run(self._shuffle.permutation(self.data.count))

    def run(self, order: np.ndarray) -> Iterator[BatchResult]:
        """Train on the images at ``order``, a batch at a time."""
        for images, metrics in lagging(self._enqueue(order)):
            loss, correct = np.sum([metric.asnumpy() for metric in metrics], axis=0).ravel()
            yield BatchResult(images, float(loss), int(correct))

    def _enqueue(self, order: np.ndarray) -> Iterator[tuple[int, list[mx.nd.NDArray]]]:
        for images, shards in self.data.batches(order, self.recipe.batch_size):
            with mx.autograd.record():
                outputs = [self._step(*inputs) for inputs in zip(self.data.images, self.data.labels, shards)]
            losses = [loss for loss, _ in outputs]
            if images < len(shards):  # a shard that stands in for none has no say
                heads = [mx.nd.full(loss.shape, way < images, ctx=loss.ctx) for way, loss in enumerate(losses)]
                mx.autograd.backward(losses, heads)
            else:
                mx.autograd.backward(losses)
            self._trainer.step(images)
            yield images, [metrics for _, metrics in outputs[:images]]


def _optimizer_parameters(recipe: Recipe) -> dict[str, float]:
    known = mx.optimizer.Optimizer.opt_registry
    if recipe.optimizer not in known:
        raise UnknownName(f"there is no optimizer {recipe.optimizer!r}: {suggestion(recipe.optimizer, known)}")
    parameters = {"learning_rate": recipe.learning_rate, "wd": recipe.weight_decay}
    if recipe.momentum:
        parameters["momentum"] = recipe.momentum
    return parameters
