"""How a network is trained: recipes, their augmentation, and the recipes by name."""

from zoo.recipes.augmentation import Augmentation
from zoo.recipes.recipe import OPTIMIZERS, SCHEDULES, Recipe

__all__ = ["OPTIMIZERS", "SCHEDULES", "Augmentation", "Recipe"]
