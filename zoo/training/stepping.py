"""One step of training: a batch forward, backward, and the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.graph.execution import Execution
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training import steps
from zoo.training.cached import CachedGraph
from zoo.training.update import Settings, Update, is_fused, update

Arrays = Mapping[str, Sequence[mx.nd.NDArray]]  # by name, one for each context


class SeparateSteps:
    """Forward, backward and update one after another, on any contexts and with any optimizer."""

    def __init__(
        self,
        graph: CachedGraph,
        trained: Sequence[mx.gluon.Parameter],
        update: Update,
        contexts: Sequence[mx.Context],
    ) -> None:
        self.graph = graph
        self.gradients = [parameter.list_grad() for parameter in trained]
        self.update = update
        self._contexts = contexts

    @property
    def loss_scale(self) -> float | None:
        """The loss scale of the next step in float16, read by waiting for the device; None in other dtypes."""
        return self.update.loss_scale

    @property
    def optimizer(self) -> mx.optimizer.Optimizer | None:
        """The optimizer, if it is one of MXNet's."""
        return self.update.optimizer

    def arrays(self) -> dict[str, mx.nd.NDArray]:
        """Return the arrays that the optimizer keeps between steps: see :func:`optimizer_state.arrays`."""
        return self.update.arrays()

    def step(self, images: int, shards: Sequence[tuple[mx.nd.NDArray, ...]], rate: float) -> list[mx.nd.NDArray]:
        """Train on a batch, of which each context has one of the ``shards``; returns their metrics."""
        with mx.autograd.record():
            outputs = [self.graph(device_index, *shard) for device_index, shard in enumerate(shards)]
        heads = self.update.head_gradients(images)
        mx.autograd.backward([loss for loss, _ in outputs], heads and heads[: len(shards)])
        for idle in range(len(shards), len(self._contexts)):  # a last batch of fewer images than contexts
            for gradient in self.gradients:
                gradient[idle][:] = 0
        self.update.set_learning_rate(rate)
        self.update.step(images, some_idle=len(shards) < len(self._contexts))
        return [metrics for _, metrics in outputs]


class WholeStep:
    """All of it as one operator of this project, on one CPU and with SGD."""

    loss_scale = None
    optimizer = None

    def __init__(
        self, graph: CachedGraph, recipe: Recipe, context: mx.Context, velocities: dict[str, mx.nd.NDArray]
    ) -> None:
        self.graph = graph
        self._settings = Settings(recipe, context)
        self._velocities = velocities

    def arrays(self) -> dict[str, mx.nd.NDArray]:
        """Return the momenta: see :meth:`FusedUpdate.arrays`."""
        return self._velocities

    def step(self, images: int, shards: Sequence[tuple[mx.nd.NDArray, ...]], rate: float) -> list[mx.nd.NDArray]:
        """Train on a batch; returns its metrics."""
        self._settings.learning_rate = rate
        return self.graph(0, *shards[0], self._settings.array(images))


def stepper(
    symbol: mx.sym.Symbol,
    parameters: Mapping[str, mx.gluon.Parameter],
    trained: Sequence[mx.gluon.Parameter],
    data: Arrays,
    changing: Sequence[str],
    recipe: Recipe,
    execution: Execution,
) -> SeparateSteps | WholeStep:
    """Choose how to run the training step ``symbol`` of ``parameters``, the data and the ``changing`` inputs."""
    if is_fused(trained, recipe, execution):
        used = [each for each in trained if each.name in parameters]  # others, such as a fixed scale, change nothing
        whole = steps.whole(symbol, [each.name for each in used], bool(recipe.momentum), recipe.optimizer == "nag")
        if whole is not None:
            zeros = {each.name: mx.nd.zeros_like(each.data()) for each in used if recipe.momentum}
            velocities = {steps.VELOCITY + name: [array] for name, array in zeros.items()}
            graph = CachedGraph(whole, parameters, {**data, **velocities}, (*changing, steps.SETTINGS))
            numbers = {each.name: number for number, each in enumerate(trained)}
            named = {f"{numbers[name]}/0": array for name, array in zeros.items()}
            return WholeStep(graph, recipe, execution.contexts[0], named)
    graph = CachedGraph(symbol, parameters, data, changing)
    return SeparateSteps(graph, trained, update(trained, recipe, execution), execution.contexts)
