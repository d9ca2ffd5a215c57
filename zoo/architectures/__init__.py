"""The models: each maps ``(batch, 1, 28, 28)`` float32 pixels in [0, 1] to ``(batch, 10)`` logits."""

from zoo.architectures import an2020, cnn7, lenet, perceptrons  # noqa: F401  importing them registers their models
from zoo.architectures.base import MODELS, Architecture

__all__ = ["MODELS", "Architecture"]
