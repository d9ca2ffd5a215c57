"""The recipes by name: those of the sources, and those that the pretrained weights were made with.

``python -m zoo train MODEL --recipe NAME`` follows one. All choices in them were made on the last 5,000 training
images.
"""

from __future__ import annotations

from zoo.augmentation import Augmentation
from zoo.recipes import Recipe
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
