"""What several architectures are made of."""

from __future__ import annotations

from zoo.runtime import mx

nn = mx.gluon.nn


def add_convolution(
    net: nn.HybridSequential, number: int, channels: int, kernel_size: int = 3, padding: int = 0
) -> None:
    """Convolution without bias, BatchNorm and ReLU, named ``conv1``, ``bn1``, ``relu1``, …"""
    net.add(
        nn.Conv2D(channels, kernel_size, padding=padding, use_bias=False, prefix=f"conv{number}_"),
        nn.BatchNorm(prefix=f"bn{number}_"),
        nn.Activation("relu", prefix=f"relu{number}_"),
    )
