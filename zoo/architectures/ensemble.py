"""Several networks as one, which averages their logits."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.architectures.base import MODELS, register
from zoo.cookbook import RECIPES
from zoo.runtime import mx

nn = mx.gluon.nn

MEMBERS = ("vgg6",) * 5


class Mean(mx.gluon.HybridBlock):
    """The mean of what the ``members`` put out for the same input: parameters of the first begin with ``member1_``."""

    def __init__(self, members: Sequence[str], **facts) -> None:
        super().__init__(**facts)
        self._members = []
        for number, name in enumerate(members, start=1):
            with nn.HybridSequential(prefix=f"member{number}_").name_scope():
                member = MODELS[name].build()
            self.register_child(member, f"member{number}")
            self._members.append(member)

    def hybrid_forward(self, F, x):
        return sum(member(x) for member in self._members) / len(self._members)


@register(
    "ensemble",
    kind="gluon",
    initializer=mx.init.Xavier(factor_type="in", magnitude=2),
    recipe=RECIPES["vgg"],
    summary="the mean of the logits of five vgg6",
    source="this project; its pretrained members were trained one by one",
)
def ensemble() -> Mean:
    return Mean(MEMBERS, prefix="")
