"""One network, its training data and its optimizer, ready to step: what ``fit`` drives and ``bench`` measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph import heads, lowering
from zoo.graph.execution import Execution, Placement
from zoo.recipes import Recipe, augmentation
from zoo.runtime import mx
from zoo.training import steps
from zoo.training.average import Average
from zoo.training.device_dataset import DeviceDataset, lagging, on_device
from zoo.training.optimizer_state import Counts
from zoo.training.stepping import WholeStep, stepper

SEGMENT = 200  # batches; within an epoch, training can only be resumed where a segment ends


@dataclass(frozen=True)
class BatchResult:
    """The metrics of one training step, measured before its update."""

    images: int
    loss: float  # sum of the cross-entropy over the images, in nats
    correct: int


@dataclass(frozen=True)
class Totals:
    """Sums over the batches of an epoch so far."""

    images: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0

    def plus(self, result: BatchResult) -> Totals:
        """Add a batch; the seconds stay."""
        return replace(
            self,
            images=self.images + result.images,
            loss=self.loss + result.loss,
            correct=self.correct + result.correct,
        )


@dataclass(frozen=True)
class Position:
    """How far a session is, and all of its state that is not in arrays."""

    epochs: int  # complete ones
    batches: int  # done in the epoch under way: a multiple of SEGMENT
    shuffle: dict[str, Any]  # states of NumPy's generators at the start of that epoch
    deform: dict[str, Any]
    averaged: int  # steps in the moving average
    counts: Counts


class TrainingSession:
    """A hybridized training step over data that resides on every context.

    MXNet's random generators, which Dropout draws from, have no state that could be read. So they are seeded anew for
    every :data:`SEGMENT` of an epoch, and a session that is restored to the end of one draws what the first one drew.
    """

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
        lowered = lowering.for_training(heads.logits_of(net), self.execution)
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
        self._parameters = list(net.collect_params().values())
        self._average = Average(net, recipe.ema) if recipe.ema else None
        self._shuffle = np.random.default_rng(recipe.seed)
        self._deform = np.random.default_rng((recipe.seed, 1))
        self._per_epoch = -(-len(train) // recipe.batch_size)
        self._rates = recipe.learning_rates(recipe.epochs * self._per_epoch)
        self._position = self._start(epoch=0)
        self.is_restorable = True  # whether all results up to the position have been read, and none after it

    def epoch(self) -> Iterator[BatchResult]:
        """Train on every image once, in a new random order; results come in order, a few batches late.

        In a session that was restored to a place within an epoch, this is the rest of that epoch.
        """
        if self._average is not None:
            self._average.withdraw()
        start = self._position
        self._shuffle.bit_generator.state, self._deform.bit_generator.state = start.shuffle, start.deform
        order = self._shuffle.permutation(self.data.count)
        deformed = self._draw(len(order))
        rates = self._rates[start.epochs % self.recipe.epochs * self._per_epoch :]
        for first in range(start.batches, self._per_epoch, SEGMENT):
            last = min(first + SEGMENT, self._per_epoch)
            mx.random.seed(segment_seed(self.recipe.seed, start.epochs, first))
            images = slice(first * self.recipe.batch_size, last * self.recipe.batch_size)
            complete = last == self._per_epoch
            self._position = self._start(start.epochs + 1) if complete else replace(start, batches=last)
            points = [each[images] for each in deformed]
            results = self._results(order[images], iter(rates[first:last].tolist()), *points)
            for number, result in enumerate(results, start=first + 1):
                self.is_restorable = number == last
                yield result

    def run(self, order: np.ndarray) -> Iterator[BatchResult]:
        """Train on the images at ``order``, a batch at a time, with the current learning rate."""
        return self._results(order, repeat(self.learning_rate), *self._draw(len(order)))

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

    @property
    def position(self) -> Position:
        """Where the session stands; to be saved together with :meth:`arrays`, while it :attr:`is_restorable`."""
        averaged = self._average.steps if self._average is not None else 0
        return replace(self._position, averaged=averaged, counts=Counts.of(self._stepper.optimizer))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return copies of all arrays that training goes on from."""
        mx.nd.waitall()
        withheld = self._average.withheld if self._average is not None else None
        arrays = self._live()
        for number, array in enumerate(withheld or ()):
            arrays.update(dict.fromkeys(self._weight_names(number), array))
        return {name: array.asnumpy() for name, array in arrays.items()}

    def restore(self, position: Position, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from where another session of the same recipe, network and data stood, on the same contexts or others.

        After a complete epoch, the network holds the average, if the recipe has one.
        """
        for name, array in self._live().items():
            first = name if name in arrays else name.rpartition("@")[0] + "@0"  # the other had fewer contexts
            if first in arrays:  # not: the state of a parameter that the other found to be unused
                on_device(arrays[first], array.context).copyto(array)
        mx.nd.waitall()
        self._position = position
        position.counts.give(self._stepper.optimizer, self.execution.contexts)
        if self._average is not None:
            self._average.steps = position.averaged
            if position.epochs and not position.batches:
                self._average.apply()

    def _start(self, epoch: int) -> Position:
        """Return the position before the epoch whose order and deformations are drawn next."""
        shuffle, deform = (dict(generator.bit_generator.state) for generator in (self._shuffle, self._deform))
        return Position(epoch, 0, shuffle, deform, 0, Counts())

    def _live(self) -> dict[str, mx.nd.NDArray]:
        """Return the arrays that hold the state, by name; "@" is followed by the number of the context."""
        live = {
            name: copy
            for number, parameter in enumerate(self._parameters)
            for name, copy in zip(self._weight_names(number), parameter.list_data())
        }
        live.update({f"optimizer {name}": array for name, array in self._stepper.arrays().items()})
        if self._average is not None:
            live.update({f"average {number}": array for number, array in enumerate(self._average.arrays)})
        return live

    def _weight_names(self, number: int) -> list[str]:
        return [f"weight {number}@{index}" for index in range(len(self.execution.contexts))]

    def _draw(self, count: int) -> tuple[np.ndarray, ...]:
        augmentation = self.recipe.augmentation
        return () if augmentation is None else (augmentation.draw(self._deform, count),)

    def _results(self, order: np.ndarray, rates: Iterator[float], *points: np.ndarray) -> Iterator[BatchResult]:
        for images, metrics in lagging(self._enqueue(order, rates, points)):
            loss, correct = np.sum([metric.asnumpy() for metric in metrics], axis=0).ravel()
            yield BatchResult(images, float(loss), int(correct))

    def _enqueue(
        self, order: np.ndarray, rates: Iterator[float], points: tuple[np.ndarray, ...]
    ) -> Iterator[tuple[int, list[mx.nd.NDArray]]]:
        self._stepper.graph.restore_plain_layout()
        for images, shards in self.data.batches(order, self.recipe.batch_size, *points):
            self.set_learning_rate(next(rates))
            metrics = self._stepper.step(images, shards, self.learning_rate)
            if self._average is not None:
                self._average.update()
                if not isinstance(self._stepper, WholeStep):
                    self._average.settle()
            yield images, metrics


def segment_seed(seed: int, epochs: int, batches: int) -> int:
    """Return the seed for MXNet's generators in a segment, given the seed of the recipe and what was done before."""
    return int(np.random.SeedSequence((seed, epochs, batches)).generate_state(1)[0] >> 1)
