"""An ensemble: one network that averages the logits of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.models.architectures.layers import Mean

MEMBERS = ("vgg6",) * 5


@register(
    "ensemble",
    kind="gluon",
    initializer=xavier(factor_type="in", magnitude=2),
    recipe=RECIPES["vgg"],
    summary="the mean of the logits of five vgg6",
    source="this project; its pretrained members were trained one by one",
)
def ensemble() -> Mean:
    """The members side by side, each with its own parameters."""
    from zoo.models.architectures.layers import Mean

    return Mean(MEMBERS, prefix="")
