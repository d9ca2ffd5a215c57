"""The recipe that every side follows: what all of them can do in the same way."""

from __future__ import annotations

from dataclasses import replace

from zoo.recipes import Recipe


def plain(recipe: Recipe) -> Recipe:
    """Return ``recipe`` without augmentation, averaging and label smoothing, with SGD or Nesterov's."""
    optimizer = recipe.optimizer if recipe.optimizer in ("sgd", "nag") else "sgd"
    return replace(recipe, augmentation=None, ema=0, label_smoothing=0, optimizer=optimizer)
