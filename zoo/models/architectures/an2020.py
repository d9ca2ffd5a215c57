"""M3, M5 and M7: plain stacks of unpadded convolutions without pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn

_FACTS = {
    "kind": "gluon",
    "initializer": xavier(factor_type="in", magnitude=2),
    "recipe": RECIPES["an2020"],
    "source": "An, Lee, Park, Yang, So: An Ensemble of Simple Convolutional Neural Network Models for MNIST Digit "
    "Recognition, 2020",
}


def _stack(kernel_size: int, *channels: int) -> nn.HybridSequential:
    """Convolutions, each with BatchNorm and ReLU, until little is left of the image; BatchNorm at the end."""
    from zoo.models.architectures.layers import add_convolution, nn

    net = nn.HybridSequential(prefix="")
    for number, width in enumerate(channels, start=1):
        add_convolution(net, number, width, kernel_size)
    net.add(nn.Dense(10, use_bias=False, prefix="fc_"), nn.BatchNorm(prefix="bn_fc_"))
    return net


@register("m3", summary="ten unpadded 3×3 convolutions", **_FACTS)
def m3() -> nn.HybridSequential:
    return _stack(3, *range(32, 177, 16))


@register("m5", summary="five unpadded 5×5 convolutions", **_FACTS)
def m5() -> nn.HybridSequential:
    return _stack(5, *range(32, 161, 32))


@register("m7", summary="four unpadded 7×7 convolutions", **_FACTS)
def m7() -> nn.HybridSequential:
    return _stack(7, *range(48, 193, 48))
