"""How much a network computes per byte that it moves: the horizontal axis of a roofline."""

from __future__ import annotations

from math import prod

from bench.cells import Cell
from zoo.models.lookup import get_card

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}  # per element


def intensity(cell: Cell) -> float:
    """FLOPs per byte of convolutions and dense layers, each reading its input and weights and writing its output once.

    All three are assumed to be in the cell's dtype, and everything between layers to be done on the way. In training,
    the two products of the backward pass move the same three arrays in other roles. Raises
    :class:`zoo.errors.UnknownName` for a model that is not in the zoo.
    """
    card = get_card(cell.model)
    moved = [
        cell.batch_size * (layer.input_size + prod(layer.output_shape)) + layer.parameters
        for layer in card.layers
        if layer.flops
    ]
    flops, elements = card.flops, sum(moved)
    if cell.phase == "train":  # the gradient of the network's input is not needed
        flops, elements = card.training_flops, 3 * elements - moved[0]
    return cell.batch_size * flops / (elements * _BYTES[cell.dtype])
