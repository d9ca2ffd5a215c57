"""A learning-rate range test: how the loss responds to rates from far too small to too large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph.execution import Placement
from zoo.models import weights
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training.evaluation import place
from zoo.training.session import TrainingSession

_SMOOTHING = 0.9  # weight of the previous losses in the running mean
_END = 4  # times the lowest loss: beyond it, larger rates tell nothing


@dataclass(frozen=True)
class RangeTest:
    """Learning rates in the order they were tried, and the loss of the batch that each was tried on."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]  # mean cross-entropy in nats, before the update with the rate

    @property
    def smoothed(self) -> tuple[float, ...]:
        """The running mean of the losses, which separates the trend from differences between batches."""
        mean, means = 0.0, []
        for number, loss in enumerate(self.losses, start=1):
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            means.append(mean / (1 - _SMOOTHING**number))
        return tuple(means)

    @property
    def suggestion(self) -> float:
        """A tenth of the rate with the lowest loss: there the loss still falls; soon after the lowest it diverges."""
        return self.rates[int(np.argmin(self.smoothed))] / 10


def lr_find(
    net: mx.gluon.HybridBlock,
    train: Dataset,
    recipe: Recipe = Recipe(),
    ctx: Placement = None,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 200,
) -> RangeTest:
    """Train ``net`` for ``steps`` batches with rates that grow geometrically from ``lowest`` to ``highest``.

    Ends early once the loss is far above its lowest or no longer finite. ``recipe`` sets everything but the rate.
    Afterwards the network has its original weights. Raises :class:`ZooError` for impossible rates.
    """
    if not (0 < lowest < highest < math.inf and steps >= 10):
        raise ZooError(
            f"the rates must grow from above 0 in 10 steps or more, not from {lowest:g} to {highest:g} in {steps}"
        )
    execution = place(net, ctx, recipe.dtype)
    before = weights.state(net)
    mx.random.seed(recipe.seed)
    session = TrainingSession(net, train, recipe, execution)
    tried: list[tuple[float, float]] = []
    batches = _batches(session, recipe)
    for rate in np.geomspace(lowest, highest, steps).tolist():
        session.set_learning_rate(rate)
        (result,) = session.run(next(batches))
        loss = result.loss / result.images
        if not math.isfinite(loss):
            break
        tried.append((rate, loss))
        smoothed = RangeTest(*zip(*tried)).smoothed
        if smoothed[-1] > _END * min(smoothed):
            break
    mx.nd.waitall()
    weights.restore(net, before)
    return RangeTest(*map(tuple, zip(*tried)))


def _batches(session: TrainingSession, recipe: Recipe) -> Iterator[np.ndarray]:
    """Yield whole batches without end, in a new random order after every pass over the images."""
    random = np.random.default_rng(recipe.seed)
    while True:
        order = random.permutation(session.data.count)
        for start in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
            yield order[start : start + recipe.batch_size]
