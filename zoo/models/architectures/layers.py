"""Building blocks of the architectures; imported only when a network is built, because this loads MXNet."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from zoo.models.architectures.base import MODELS
from zoo.runtime import mx

if TYPE_CHECKING:
    from mxnet.gluon import nn as nn
else:
    nn = mx.gluon.nn


def add_convolution(
    net: nn.HybridSequential, number: int, channels: int, kernel_size: int = 3, padding: int = 0
) -> None:
    """Append a convolution without bias, BatchNorm and ReLU, named ``conv1``, ``bn1``, ``relu1`` and so on."""
    net.add(
        nn.Conv2D(channels, kernel_size, padding=padding, use_bias=False, prefix=f"conv{number}_"),
        nn.BatchNorm(prefix=f"bn{number}_"),
        nn.Activation("relu", prefix=f"relu{number}_"),
    )


class Mean(mx.gluon.HybridBlock):
    """The mean of the members' outputs for the same input; parameter names of the first begin with ``member1_``."""

    def __init__(self, members: Sequence[str], **facts: object) -> None:
        super().__init__(**facts)
        self._members = []
        for number, name in enumerate(members, start=1):
            with nn.HybridSequential(prefix=f"member{number}_").name_scope():
                member = MODELS[name].build()
            self.register_child(member, f"member{number}")
            self._members.append(member)

    def hybrid_forward(
        self,
        F: ModuleType,  # noqa: N803  Gluon's name
        x: mx.nd.NDArray | mx.sym.Symbol,
    ) -> mx.nd.NDArray | mx.sym.Symbol:
        """Return the mean for an array or a symbol; ``F`` is the matching operator module."""
        return sum(member(x) for member in self._members) / len(self._members)
