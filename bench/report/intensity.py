"""How much a network computes for each byte that it moves: the horizontal axis of a roofline."""

from __future__ import annotations

from math import prod

from bench.cells import Cell
from zoo.models.lookup import get_card

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}  # of an element


def intensity(cell: Cell) -> float:
    """FLOPs per byte of convolutions and dense layers, each reading its input and weights and writing its output once.

    All three are taken to be in the cell's dtype, and everything in between to be done on the way. In training, the
    two products backward move the same three arrays in other roles. Raises :class:`zoo.errors.UnknownName` for a model
    that is not in the zoo.
    """
    card = get_card(cell.model)
    moved = [
        cell.batch_size * (layer.input_size + prod(layer.output_shape)) + layer.parameters
        for layer in card.layers
        if layer.flops
    ]
    flops, elements = card.flops, sum(moved)
    if cell.phase == "train":  # nobody needs the input's gradient
        flops, elements = card.training_flops, 3 * elements - moved[0]
    return cell.batch_size * flops / (elements * _BYTES[cell.dtype])
