"""What a C file computes for one item: layers that read and write arrays of fixed sizes.

Arrays of images are stored as rows of pixels, each with all of its channels: (height, width, channels).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Union

import numpy as np

Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Tensor:
    """An array that a layer writes, or the input of the network."""

    number: int  # of the buffer that holds it; other views of the same array have the same
    shape: Shape  # as MXNet has it, without the batch
    order: Shape | None = None  # of a flattened image: its (channels, height, width), while it is stored as an image

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def stored(self) -> tuple[int, int, int]:
        """The height, the width and the channels of the array as it is stored."""
        channels, *sizes = self.order or self.shape
        height, width = ((1, 1), (1, *sizes), tuple(sizes))[len(sizes)]
        return height, width, channels


@dataclass(frozen=True)
class Function:
    """A function of every element, by its name, and the numbers that it takes besides."""

    kind: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Affine:
    """Every element times the scale of its channel, plus the shift of its channel."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True, eq=False)
class Slopes:
    """Negative elements times the slope of their channel, as PReLU has it."""

    slope: np.ndarray


@dataclass(frozen=True)
class Binary:
    """Every element combined by ``+``, ``-``, ``*`` or ``/`` with that of another array of the same shape."""

    operator: str
    other: Tensor
    is_left: bool = False  # whether the other array is the left operand


Step = Union[Function, Affine, Slopes, Binary]


@dataclass(frozen=True, eq=False)
class Layer:
    """One function of the C file. Its steps are applied to every element before it is stored."""

    name: str
    sources: tuple[Tensor, ...]
    target: Tensor
    steps: tuple[Step, ...]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """All arrays that the layer reads."""
        return (*self.sources, *(step.other for step in self.steps if isinstance(step, Binary)))


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """A convolution of data that are padded already; the weight is (filters, channels of a group, height, width)."""

    weight: np.ndarray
    bias: np.ndarray
    stride: Pair
    dilate: Pair
    groups: int


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """A fully connected layer; the weight is (outputs, inputs), its inputs in the order in which they are stored."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """The largest, the sum or the mean of every window; what lies outside of the data is ignored."""

    kind: str  # "max", "sum" or "avg"
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    counts_padding: bool = True  # in the divisor of a mean


@dataclass(frozen=True, eq=False)
class Pad(Layer):
    """The data with rows and columns of one value around them."""

    before: Pair
    value: float = 0.0


@dataclass(frozen=True, eq=False)
class Crop(Layer):
    """A part of the data, from this row, column and channel on."""

    start: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Join(Layer):
    """Several arrays side by side along one axis of the stored image: 0, 1 or 2 for the channels."""

    axis: int


@dataclass(frozen=True, eq=False)
class Elementwise(Layer):
    """The steps alone."""


@dataclass(frozen=True, eq=False)
class Transpose(Layer):
    """A matrix of ``rows`` as its transpose: from images to MXNet's order of the channels first, or back."""

    rows: int


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """The softmax over the channels of every pixel, or its logarithm."""

    is_logarithm: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """All layers in their order; the last one writes the output."""

    input: Tensor
    layers: tuple[Layer, ...]
    stages: tuple[tuple[str, ...], ...]  # of each layer: the nodes whose outputs it has before and after each step
    uint8: bool  # whether the input holds pixels from 0 to 255

    @property
    def output(self) -> Tensor:
        """The array that the network puts out."""
        return self.layers[-1].target
