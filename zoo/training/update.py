"""What the optimizer does after a batch."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.recipes import Recipe
from zoo.runtime import mx


class GluonUpdate:
    """Any optimizer, on any contexts, by Gluon's trainer."""

    def __init__(
        self, parameters: Sequence[mx.gluon.Parameter], recipe: Recipe, contexts: Sequence[mx.Context]
    ) -> None:
        settings = {"learning_rate": recipe.learning_rate, "wd": recipe.weight_decay}
        if recipe.momentum:
            settings["momentum"] = recipe.momentum
        self._trainer = mx.gluon.Trainer(
            parameters,
            recipe.optimizer,
            settings,
            # Several contexts: updated in one place and sent to all, so that they agree to the last bit.
            update_on_kvstore=True if len(contexts) > 1 else None,
        )

    def step(self, images: int, some_idle: bool) -> None:
        """Apply the gradients of a batch; ``some_idle`` if a context had no part in it."""
        self._trainer.step(images, ignore_stale_grad=some_idle)


class PlainUpdate:
    """SGD on one CPU, parameter by parameter.

    Gluon's trainer updates several in one operator, which on a CPU goes through all of them as often as the largest
    has elements, and does more in Python than a small network's step takes.
    """

    def __init__(self, parameters: Sequence[mx.gluon.Parameter], recipe: Recipe) -> None:
        self._settings = {"lr": recipe.learning_rate, "wd": recipe.weight_decay}
        self._operator = mx.nd.sgd_update
        self._arrays = [[parameter.data(), parameter.grad()] for parameter in parameters]
        if recipe.momentum:
            self._settings["momentum"] = recipe.momentum
            self._operator = mx.nd.sgd_mom_update
            for arrays in self._arrays:
                arrays.append(mx.nd.zeros_like(arrays[0]))

    def step(self, images: int, some_idle: bool) -> None:
        for arrays in self._arrays:
            self._operator(*arrays, out=arrays[0], rescale_grad=1 / images, **self._settings)


def update(
    parameters: Sequence[mx.gluon.Parameter], recipe: Recipe, contexts: Sequence[mx.Context]
) -> GluonUpdate | PlainUpdate:
    """The faster of the two that can do it."""
    if recipe.optimizer == "sgd" and [context.device_type for context in contexts] == ["cpu"]:
        return PlainUpdate(parameters, recipe)
    return GluonUpdate(parameters, recipe, contexts)
