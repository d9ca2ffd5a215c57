"""What the command line exports: a network, what is known of it, and the data to verify its files with."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from export import inference
from zoo import models
from zoo.cli.options import load_network
from zoo.data import MNIST, Dataset
from zoo.data.named import load_data
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE

if TYPE_CHECKING:
    from zoo.models import Card
    from zoo.runtime import mx

_RANDOM_ITEMS = 50  # inputs for verifying a network that is not the zoo's
_CALIBRATION = slice(-5000, None, 10)  # of the training images: the last 5,000 are held out


@dataclass(frozen=True)
class Source:
    """A network of the zoo, with its card, or any other one."""

    net: mx.gluon.HybridBlock
    name: str
    input_shape: inference.InputShape
    card: Card | None
    dataset: str | None  # the argument of --data

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Source:
        """Load the network that the ``arguments`` name."""
        named: dict[str, tuple[int, ...]] = dict(arguments.input)
        if len(named) < len(arguments.input):
            raise ZooError("two of the inputs have the same name: each needs its own")
        if arguments.onnx is not None:
            from export.onnx.importing import network

            if named:
                raise ZooError("an ONNX file names its input itself: --input is for --symbol")
            net, found = network.imported(arguments.onnx, arguments.input_shape)
            return cls(net, arguments.onnx.stem, found, None, arguments.data)
        shape: inference.InputShape = named or arguments.input_shape or INPUT_SHAPE
        if arguments.symbol is not None:
            from export.loading import load_symbol

            net = load_symbol(arguments.symbol, arguments.params, input_shape=shape)
            name = arguments.symbol.name.replace("-symbol.json", "").replace(".json", "")
            return cls(net, name, shape, None, arguments.data)
        if shape != INPUT_SHAPE:
            raise ZooError(
                "the models of the zoo take (1, 28, 28): --input-shape is for --symbol and --onnx, --input for --symbol"
            )
        net = load_network(arguments.model, arguments.params)[0]
        return cls(net, arguments.model, shape, models.get_card(arguments.model), arguments.data)

    @cached_property
    def _mnist(self) -> MNIST:
        return load_data(self.dataset)

    @property
    def test(self) -> Dataset:
        """The test images, for a network of the zoo."""
        return self._mnist.test

    @property
    def calibration(self) -> Dataset:
        """Images that no network was trained on, for the ranges of 8-bit integers."""
        return self._mnist.train[_CALIBRATION]

    def random_items(self, uint8: bool) -> dict[str, np.ndarray]:
        """Return random data for every input, pixels from 0 to 255 or numbers from 0 to 1."""
        random = np.random.default_rng(0)
        shapes = {name: (_RANDOM_ITEMS, *shape) for name, shape in inference.input_shapes(self.input_shape).items()}
        if uint8:
            return {name: random.integers(0, 256, shape, np.uint8) for name, shape in shapes.items()}
        return {name: random.random(shape, np.float32) for name, shape in shapes.items()}
