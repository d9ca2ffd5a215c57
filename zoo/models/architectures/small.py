"""Networks with one goal each: few parameters, or 99% accuracy after one short epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn

_HE = xavier(factor_type="in", magnitude=2)


def _small(*channels: int) -> nn.HybridSequential:
    """Build five 3×3 convolutions, with max pooling after the second and fourth, and global average pooling."""
    from zoo.models.architectures.layers import add_convolution, nn

    net = nn.HybridSequential(prefix="")
    for number, width in enumerate(channels, start=1):
        add_convolution(net, number, width, padding=number // 5)
        if number in (2, 4):
            net.add(nn.MaxPool2D(2, 2, prefix=f"pool{number // 2}_"))
    net.add(nn.GlobalAvgPool2D(prefix="average_"), nn.Dense(10, prefix="fc_"))
    return net


@register(
    "micro",
    kind="gluon",
    initializer=_HE,
    recipe=RECIPES["small"],
    summary="five convolutions, fewer than 5,000 parameters",
    source="this project",
)
def micro() -> nn.HybridSequential:
    """Between 8 and 14 channels in each layer."""
    return _small(8, 8, 12, 14, 12)


@register(
    "nano",
    kind="gluon",
    initializer=_HE,
    recipe=RECIPES["small"],
    summary="five convolutions, fewer than 2,000 parameters",
    source="this project",
)
def nano() -> nn.HybridSequential:
    """Between 5 and 8 channels in each layer."""
    return _small(5, 5, 8, 8, 8)


@register(
    "sprint",
    kind="gluon",
    initializer=_HE,
    recipe=RECIPES["sprint"],
    summary="three convolutions, made to reach 99% in one epoch",
    source="this project",
)
def sprint() -> nn.HybridSequential:
    """Pooling right after the first layer makes an epoch short."""
    from zoo.models.architectures.layers import add_convolution, nn

    net = nn.HybridSequential(prefix="")
    add_convolution(net, 1, 16, kernel_size=5)
    net.add(nn.MaxPool2D(2, 2, prefix="pool1_"))
    add_convolution(net, 2, 32)
    add_convolution(net, 3, 64)
    net.add(nn.MaxPool2D(2, 2, prefix="pool2_"), nn.Dense(10, prefix="fc_"))
    return net
