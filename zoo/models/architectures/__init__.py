"""The models: each maps ``(batch, 1, 28, 28)`` float32 pixels in [0, 1] to ``(batch, 10)`` logits."""

from zoo.models.architectures import (  # noqa: F401  importing them registers their models
    an2020,
    cnn7,
    ensemble,
    lenet,
    perceptrons,
    small,
    vgg,
)
from zoo.models.architectures.base import MODELS, Architecture

__all__ = ["MODELS", "Architecture"]
