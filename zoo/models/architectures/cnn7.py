"""The report's CNN, hypothesis 7, and two variants of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn

_INITIALIZER = xavier(magnitude=2.24)
_RECIPE = RECIPES["report"]
_REPORT = "CNN report, hypothesis 7 (97.53% after epoch 1, 99.24% after epoch 13, 99.50% at its best of 120)"


def _cnn7(activation: str, output_activation: str | None) -> nn.HybridSequential:
    from zoo.models.architectures.layers import nn

    net = nn.HybridSequential(prefix="")
    net.add(
        nn.Conv2D(64, kernel_size=3, activation=activation, prefix="conv1_"),
        nn.Conv2D(64, kernel_size=3, activation=activation, prefix="conv2_"),
        nn.Dropout(0.20, prefix="dropout1_"),
        nn.BatchNorm(prefix="bn1_"),
        nn.MaxPool2D(pool_size=2, strides=2, prefix="pool1_"),
        nn.Conv2D(128, kernel_size=3, activation=activation, prefix="conv3_"),
        nn.Conv2D(128, kernel_size=3, activation=activation, prefix="conv4_"),
        nn.Dropout(0.25, prefix="dropout2_"),
        nn.BatchNorm(prefix="bn2_"),
        nn.MaxPool2D(pool_size=2, strides=2, prefix="pool2_"),
        nn.Conv2D(256, kernel_size=3, activation=activation, prefix="conv5_"),
        nn.Dropout(0.25, prefix="dropout3_"),
        nn.BatchNorm(prefix="bn3_"),
        nn.Dense(512, activation=activation, prefix="fc1_"),
        nn.Dense(10, activation=output_activation, prefix="fc2_"),
    )
    return net


@register(
    "cnn7",
    kind="gluon",
    initializer=_INITIALIZER,
    recipe=_RECIPE,
    summary="five unpadded 3×3 convolutions, tanh, tanh on the output",
    source=_REPORT,
)
def cnn7() -> nn.HybridSequential:
    """As reported: the tanh on the output bounds the logits to ±1, so the loss cannot fall below 0.797."""
    return _cnn7("tanh", "tanh")


@register(
    "cnn7_logits",
    kind="gluon",
    initializer=_INITIALIZER,
    recipe=_RECIPE,
    summary="cnn7 without the tanh on the output",
    source=f"variant of the {_REPORT}",
)
def cnn7_logits() -> nn.HybridSequential:
    """Unbounded logits, so that the loss can fall to 0."""
    return _cnn7("tanh", None)


@register(
    "cnn7_relu",
    kind="gluon",
    initializer=_INITIALIZER,
    recipe=_RECIPE,
    summary="cnn7 with ReLU, and plain logits",
    source=f"variant of the {_REPORT}",
)
def cnn7_relu() -> nn.HybridSequential:
    """ReLU in place of every tanh except the last, which is removed."""
    return _cnn7("relu", None)
