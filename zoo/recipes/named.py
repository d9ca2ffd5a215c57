"""The recipes by name: those of the sources, and those of the pretrained weights.

``python -m zoo train MODEL --recipe NAME`` uses one. All choices in them were made on the last 5,000 training images.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.recipes.augmentation import Augmentation
from zoo.recipes.recipe import Recipe
from zoo.registry import Registry

RECIPES: Registry[Recipe] = Registry("recipe")

# As published.
RECIPES.add("notebook", Recipe(epochs=10, batch_size=100, learning_rate=0.1))
RECIPES.add("lenet", Recipe(epochs=20, batch_size=128, learning_rate=0.1, momentum=0.9))
RECIPES.add("report", Recipe(epochs=13, batch_size=200, learning_rate=0.1, keep_from=0.993))
RECIPES.add(
    "an2020",
    Recipe(
        epochs=150, batch_size=120, optimizer="adam", learning_rate=0.001, schedule="exponential", ema=0.999,
        augmentation=Augmentation(shift=5.6, rotation=20),
    ),
)  # fmt: skip

# This project's own, for the pretrained weights.
_ONE_CYCLE = Recipe(batch_size=100, optimizer="nag", momentum=0.9, learning_rate=0.1, schedule="one-cycle", warmup=0.2)
RECIPES.add(
    "mlp",
    replace(
        _ONE_CYCLE, epochs=100, weight_decay=1e-5,
        augmentation=Augmentation(shift=1, rotation=8, scale=0.1, shear=0.1, elastic=0.5),
    ),
)  # fmt: skip
_TANH = replace(
    RECIPES["mlp"], learning_rate=0.05, weight_decay=1e-4,
    augmentation=Augmentation(shift=1.5, rotation=10, scale=0.1, shear=0.1, elastic=0.5),
)  # fmt: skip
RECIPES.add("lenet5", replace(_TANH, epochs=30))
RECIPES.add("cnn7", replace(_TANH, epochs=15))
RECIPES.add(
    "vgg",
    replace(
        _ONE_CYCLE, epochs=16, weight_decay=5e-4,
        augmentation=Augmentation(shift=2, rotation=12, scale=0.12, shear=0.12, elastic=0.8),
    ),
)  # fmt: skip
_MILD = Augmentation(shift=1, rotation=8, scale=0.08, shear=0.08)
RECIPES.add("five-epochs", replace(RECIPES["vgg"], epochs=5, augmentation=_MILD))
RECIPES.add("small", replace(_ONE_CYCLE, epochs=40, augmentation=_MILD))
RECIPES.add("sprint", replace(_ONE_CYCLE, epochs=1, weight_decay=2e-3, learning_rate=0.2))
