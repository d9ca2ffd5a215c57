"""Networks made for one thing each: few parameters, or 99% after one short epoch."""

from __future__ import annotations

from zoo.architectures.base import register
from zoo.architectures.layers import add_convolution
from zoo.cookbook import RECIPES
from zoo.runtime import mx

nn = mx.gluon.nn

_FACTS = {"kind": "gluon", "initializer": mx.init.Xavier(factor_type="in", magnitude=2), "source": "this project"}


def _small(*channels: int) -> nn.HybridSequential:
    """A 5×5 convolution, pooling, two of 3×3, pooling, a padded one of 3×3, and the average of what is left."""
    net = nn.HybridSequential(prefix="")
    add_convolution(net, 1, channels[0], kernel_size=5)
    net.add(nn.MaxPool2D(2, 2, prefix="pool1_"))
    add_convolution(net, 2, channels[1])
    add_convolution(net, 3, channels[2])
    net.add(nn.MaxPool2D(2, 2, prefix="pool2_"))
    add_convolution(net, 4, channels[3], padding=1)
    net.add(nn.GlobalAvgPool2D(prefix="average_"), nn.Dense(10, prefix="fc_"))
    return net


@register("micro", summary="four convolutions, fewer than 5,000 parameters", recipe=RECIPES["small"], **_FACTS)
def micro() -> nn.HybridSequential:
    return _small(8, 12, 16, 12)


@register("nano", summary="four convolutions, fewer than 2,000 parameters", recipe=RECIPES["small"], **_FACTS)
def nano() -> nn.HybridSequential:
    return _small(6, 8, 8, 8)


@register("sprint", summary="three convolutions, made to reach 99% in one epoch", recipe=RECIPES["sprint"], **_FACTS)
def sprint() -> nn.HybridSequential:
    net = nn.HybridSequential(prefix="")
    add_convolution(net, 1, 32, kernel_size=5)
    net.add(nn.MaxPool2D(2, 2, prefix="pool1_"))
    add_convolution(net, 2, 64)
    add_convolution(net, 3, 64)
    net.add(nn.MaxPool2D(2, 2, prefix="pool2_"), nn.Dense(10, prefix="fc_"))
    return net
