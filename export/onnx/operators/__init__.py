"""The table of MXNet's operators, each with the function that translates it.

A function takes a :class:`export.onnx.graph.Call`, appends what it needs to the graph, and returns the name of the
tensor that stands for the operator's output, or a list of names where there are several.
"""

from __future__ import annotations

from collections.abc import Callable

from export.onnx.graph import Call
from export.onnx.operators import (
    activations,
    arithmetic,
    boxes,
    generation,
    indexing,
    layers,
    ordering,
    pooling,
    rearranging,
    reductions,
    regions,
    repetition,
    resampling,
    sampling,
    shapes,
    suppression,
)

OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **boxes.OPERATORS,
    **generation.OPERATORS,
    **indexing.OPERATORS,
    **layers.OPERATORS,
    **ordering.OPERATORS,
    **pooling.OPERATORS,
    **rearranging.OPERATORS,
    **reductions.OPERATORS,
    **regions.OPERATORS,
    **repetition.OPERATORS,
    **resampling.OPERATORS,
    **sampling.OPERATORS,
    **shapes.OPERATORS,
    **suppression.OPERATORS,
}
