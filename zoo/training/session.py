"""One network, its training data and its optimizer, ready to step: what ``fit`` drives and ``bench`` measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, repeat

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph import lowering
from zoo.graph.execution import Execution, Placement
from zoo.recipes import Recipe, augmentation
from zoo.runtime import mx
from zoo.training import steps
from zoo.training.average import Average
from zoo.training.device_dataset import DeviceDataset, lagging, on_device
from zoo.training.stepping import stepper


@dataclass(frozen=True)
class BatchResult:
    """The metrics of one training step, measured before its update."""

    images: int
    loss: float  # sum of the cross-entropy over the images, in nats
    correct: int


class TrainingSession:
    """A hybridized training step over data that resides on every context."""

    def __init__(self, net: mx.gluon.HybridBlock, train: Dataset, recipe: Recipe, ctx: Placement = None) -> None:
        self.execution = Execution.of(net, ctx, recipe.dtype)
        contexts = self.execution.contexts
        self.data = DeviceDataset(train, contexts)
        if recipe.batch_size > len(train):
            raise ZooError(f"the batch size {recipe.batch_size} is larger than the {len(train)} training images")
        if recipe.batch_size < len(contexts):
            raise ZooError(
                f"the batch size {recipe.batch_size} does not fill {len(contexts)} contexts: it must be at least that"
            )
        self.recipe = recipe
        lowered = lowering.for_training(net, self.execution)
        deforms = recipe.augmentation is not None
        data = {steps.IMAGES: self.data.images, steps.LABELS: self.data.labels}
        if deforms:
            data[steps.BASIS] = [on_device(augmentation.basis(), context) for context in contexts]
        # Without running statistics: a trainer on several contexts would reset them after its first step.
        trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
        self._stepper = stepper(
            steps.training(lowered, self.execution, train.scale, recipe.label_smoothing, deforms),
            lowered.collect_params(),
            trained,
            data,
            (steps.INDEX, steps.POINTS) if deforms else (steps.INDEX,),
            recipe,
            self.execution,
        )
        self.learning_rate = recipe.learning_rate
        self._average = Average(net, recipe.ema) if recipe.ema else None
        self._shuffle = np.random.default_rng(recipe.seed)
        self._deform = np.random.default_rng((recipe.seed, 1))
        batches = recipe.epochs * -(-len(train) // recipe.batch_size)
        self._rates = cycle(recipe.learning_rates(batches))

    def epoch(self) -> Iterator[BatchResult]:
        """Train on every image once, in a new random order; results come in order, a few batches late."""
        if self._average is not None:
            self._average.withdraw()
        return self._results(self._shuffle.permutation(self.data.count), self._rates)

    def run(self, order: np.ndarray) -> Iterator[BatchResult]:
        """Train on the images at ``order``, a batch at a time, with the current learning rate."""
        return self._results(order, repeat(self.learning_rate))

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of further updates, until an epoch follows the recipe's rates."""
        self.learning_rate = rate

    @property
    def loss_scale(self) -> float | None:
        """The loss scale of the next step in float16, read by waiting for the device; None in other dtypes."""
        return self._stepper.loss_scale

    def apply_average(self) -> None:
        """Load the moving average into the network until the next epoch, if the recipe uses one."""
        if self._average is not None:
            self._average.apply()

    def _results(self, order: np.ndarray, rates: Iterator[float]) -> Iterator[BatchResult]:
        for images, metrics in lagging(self._enqueue(order, rates)):
            loss, correct = np.sum([metric.asnumpy() for metric in metrics], axis=0).ravel()
            yield BatchResult(images, float(loss), int(correct))

    def _enqueue(self, order: np.ndarray, rates: Iterator[float]) -> Iterator[tuple[int, list[mx.nd.NDArray]]]:
        self._stepper.graph.restore_plain_layout()
        drawn = self.recipe.augmentation and [self.recipe.augmentation.draw(self._deform, len(order))]
        for images, shards in self.data.batches(order, self.recipe.batch_size, *(drawn or ())):
            self.set_learning_rate(next(rates))
            metrics = self._stepper.step(images, shards, self.learning_rate)
            if self._average is not None:
                self._average.update()
            yield images, metrics
