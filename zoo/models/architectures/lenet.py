"""LeNet-5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn


@register(
    "lenet5",
    kind="gluon",
    initializer=xavier(),
    recipe=RECIPES["lenet"],
    summary="two convolutions with average pooling, three dense layers, tanh",
    source="LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition, 1998",
)
def lenet5() -> nn.HybridSequential:
    """Layers C1 to F6 of figure 2, with full connections in C3 and a dense output instead of radial basis functions."""
    from zoo.models.architectures.layers import nn

    net = nn.HybridSequential(prefix="")
    net.add(
        nn.Conv2D(6, kernel_size=5, padding=2, activation="tanh", prefix="conv1_"),
        nn.AvgPool2D(pool_size=2, strides=2, prefix="pool1_"),
        nn.Conv2D(16, kernel_size=5, activation="tanh", prefix="conv2_"),
        nn.AvgPool2D(pool_size=2, strides=2, prefix="pool2_"),
        nn.Conv2D(120, kernel_size=5, activation="tanh", prefix="conv3_"),
        nn.Dense(84, activation="tanh", prefix="fc1_"),
        nn.Dense(10, prefix="fc2_"),
    )
    return net
