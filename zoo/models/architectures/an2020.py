"""M3, M5 and M7: plain stacks of unpadded convolutions without pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import nn

_HE = xavier(factor_type="in", magnitude=2)
_RECIPE = RECIPES["an2020"]
_PAPER = (
    "An, Lee, Park, Yang, So: An Ensemble of Simple Convolutional Neural Network Models for MNIST Digit "
    "Recognition, 2020"
)


def _stack(kernel_size: int, *channels: int) -> nn.HybridSequential:
    """Stack unpadded convolutions, each with BatchNorm and ReLU, and end in a dense layer with BatchNorm."""
    from zoo.models.architectures.layers import add_convolution, nn

    net = nn.HybridSequential(prefix="")
    for number, width in enumerate(channels, start=1):
        add_convolution(net, number, width, kernel_size)
    net.add(nn.Dense(10, use_bias=False, prefix="fc_"), nn.BatchNorm(prefix="bn_fc_"))
    return net


@register("m3", kind="gluon", initializer=_HE, recipe=_RECIPE, summary="ten unpadded 3×3 convolutions", source=_PAPER)
def m3() -> nn.HybridSequential:
    """From 32 to 176 channels, 16 more in each layer."""
    return _stack(3, *range(32, 177, 16))


@register("m5", kind="gluon", initializer=_HE, recipe=_RECIPE, summary="five unpadded 5×5 convolutions", source=_PAPER)
def m5() -> nn.HybridSequential:
    """From 32 to 160 channels, 32 more in each layer."""
    return _stack(5, *range(32, 161, 32))


@register("m7", kind="gluon", initializer=_HE, recipe=_RECIPE, summary="four unpadded 7×7 convolutions", source=_PAPER)
def m7() -> nn.HybridSequential:
    """From 48 to 192 channels, 48 more in each layer."""
    return _stack(7, *range(48, 193, 48))
