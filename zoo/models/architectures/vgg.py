"""Padded 3×3 convolutions in pairs with pooling between them, as in VGG, at MNIST's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn


@register(
    "vgg6",
    kind="gluon",
    initializer=xavier(factor_type="in", magnitude=2),
    recipe=RECIPES["vgg"],
    summary="six padded 3×3 convolutions with BatchNorm, ReLU, global average",
    source="this project, after Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition, 2015",
)
def vgg6() -> nn.HybridSequential:
    """Pairs with 32, 64 and 128 channels, at 28×28, 14×14 and 7×7 pixels."""
    from zoo.models.architectures.layers import add_convolution, nn

    net = nn.HybridSequential(prefix="")
    for number, channels in enumerate((32, 32, 64, 64, 128, 128), start=1):
        add_convolution(net, number, channels, padding=1)
        if number in (2, 4):
            net.add(nn.MaxPool2D(2, 2, prefix=f"pool{number // 2}_"))
    net.add(nn.GlobalAvgPool2D(prefix="average_"), nn.Dense(10, prefix="fc_"))
    return net
