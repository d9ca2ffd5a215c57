"""The optimizer's update after a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import numpy as np

from zoo.graph.execution import FLOAT16, Execution
from zoo.graph.ir import Graph, Node
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training import optimizer_state
from zoo.training.device_dataset import on_device
from zoo.training.scaling import ScaledUpdate


class _Unscaled:
    """An update from the gradients of the unscaled loss."""

    loss_scale = None
    optimizer: mx.optimizer.Optimizer | None = None  # MXNet's, if it is one of those

    def head_gradients(self, images: int) -> None:
        """Return None: the backward pass starts from MXNet's default, 1."""


class GluonUpdate(_Unscaled):
    """Any optimizer on any contexts, through Gluon's trainer."""

    def __init__(
        self, parameters: Sequence[mx.gluon.Parameter], recipe: Recipe, contexts: Sequence[mx.Context]
    ) -> None:
        self._weights = [parameter.list_data()[0] for parameter in parameters]
        self._trainer = mx.gluon.Trainer(
            parameters,
            recipe.optimizer,
            _settings(recipe),
            # Several contexts are updated in one place and sent to all, so that they agree to the last bit.
            update_on_kvstore=True if len(contexts) > 1 else None,
        )
        self.optimizer = self._trainer.optimizer

    def arrays(self) -> dict[str, mx.nd.NDArray]:
        """Return the optimizer's state: see :func:`optimizer_state.arrays`."""
        trainer = self._trainer
        if not trainer._kv_initialized:
            trainer._init_kvstore()
        updater = trainer._kvstore._updater if trainer._update_on_kvstore else trainer._updaters[0]
        return optimizer_state.arrays(updater, self._weights)

    def step(self, images: int, some_idle: bool) -> None:
        """Apply the gradients of a batch; ``some_idle`` if a context had no images."""
        self._trainer.step(images, ignore_stale_grad=some_idle)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of further steps."""
        self._trainer.set_learning_rate(rate)


class Settings:
    """What this project's operators for SGD take as their last input."""

    def __init__(self, recipe: Recipe, context: mx.Context) -> None:
        self.learning_rate = recipe.learning_rate
        self._context = context
        self._recipe = recipe
        self._kept: tuple[float, ...] = ()

    def array(self, images: int) -> mx.nd.NDArray:
        """Return the settings for a batch of so many images: learning rate, decay, scale of gradients, momentum."""
        settings = (self.learning_rate, self._recipe.weight_decay, 1 / images, self._recipe.momentum)
        if settings != self._kept:  # in a new array: pending steps may still read the old one
            self._kept, self._array = settings, on_device(np.array(settings, np.float32), self._context)
        return self._array


class FusedUpdate(_Unscaled):
    """SGD, optionally with momentum or Nesterov momentum, on one CPU in one operator of this project.

    Gluon's trainer also updates several parameters in one operator, but on a CPU that operator loops over all of them
    as often as the largest has elements, and the trainer's Python code takes longer than a small network's step.
    """

    def __init__(self, parameters: Sequence[mx.gluon.Parameter], recipe: Recipe) -> None:
        arrays = [parameter.data() for parameter in parameters] + [parameter.grad() for parameter in parameters]
        self._velocities = [mx.nd.zeros_like(parameter.data()) for parameter in parameters] if recipe.momentum else []
        arrays += self._velocities
        inputs = [(Node("null", str(number)), 0) for number in range(len(arrays) + 1)]
        attributes = {
            "parameters": str(len(parameters)),
            "momentum": str(bool(recipe.momentum)),
            "nesterov": str(recipe.optimizer == "nag"),
        }
        symbol = Graph([(Node("zoo_sgd", "sgd", attributes, inputs), 0)]).symbol()
        self._operator = mx.nd.CachedOp(symbol, [("static_alloc", True), ("static_shape", True)])
        self._arrays = arrays
        self._settings = Settings(recipe, arrays[0].context)

    def step(self, images: int, some_idle: bool) -> None:
        """Apply the gradients of a batch; one context is never idle."""
        self._operator(*self._arrays, self._settings.array(images))

    def arrays(self) -> dict[str, mx.nd.NDArray]:
        """Return the momenta, named and scaled as :func:`optimizer_state.arrays` has those of MXNet's SGD."""
        return {f"{index}/0": velocity for index, velocity in enumerate(self._velocities)}

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of further steps."""
        self._settings.learning_rate = rate


Update = Union[GluonUpdate, FusedUpdate, ScaledUpdate]


def is_fused(parameters: Sequence[mx.gluon.Parameter], recipe: Recipe, execution: Execution) -> bool:
    """Whether this project's operators can update ``parameters``: by plain SGD on one CPU."""
    on_one = execution.kernels and len(execution.contexts) == 1 and execution.dtype != FLOAT16
    return on_one and recipe.optimizer in ("sgd", "nag") and all(map(_is_plain, parameters))


def update(parameters: Sequence[mx.gluon.Parameter], recipe: Recipe, execution: Execution) -> Update:
    """Choose the update: scaled in float16, else fused if one CPU and plain SGD allow it, else Gluon's."""
    if execution.dtype == FLOAT16:
        optimizer = mx.optimizer.create(recipe.optimizer, param_dict=dict(enumerate(parameters)), **_settings(recipe))
        return ScaledUpdate(parameters, optimizer, execution.contexts)
    if is_fused(parameters, recipe, execution):
        return FusedUpdate(parameters, recipe)
    return GluonUpdate(parameters, recipe, execution.contexts)


def _settings(recipe: Recipe) -> dict[str, float]:
    """Return the settings of the recipe's optimizer, under MXNet's names."""
    settings = {"learning_rate": recipe.learning_rate, "wd": recipe.weight_decay}
    return {**settings, "momentum": recipe.momentum} if recipe.momentum else settings


def _is_plain(parameter: mx.gluon.Parameter) -> bool:
    dense = parameter.data().stype == parameter.grad().stype == "default"
    return dense and np.dtype(parameter.dtype) == np.float32 and (parameter.lr_mult, parameter.wd_mult) == (1, 1)
