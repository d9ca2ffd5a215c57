"""The table of ONNX's operators, each with the function that translates it.

A function takes a :class:`export.onnx.importing.graph.Call`, appends what it needs to the network, and returns the
tensor that stands for the operator's output, or a list of tensors where there are several.
"""

from __future__ import annotations

from collections.abc import Callable

from export.onnx.importing.graph import Call, Tensor
from export.onnx.importing.operators import activations, arithmetic, layers, pooling, reductions, shapes

OPERATORS: dict[str, Callable[[Call], Tensor | list[Tensor]]] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **layers.OPERATORS,
    **pooling.OPERATORS,
    **reductions.OPERATORS,
    **shapes.OPERATORS,
}
# Those that take tensors of any dtype; the others take floats.
OF_ANY_DTYPE = {*shapes.OPERATORS, "Cast", "Gather", "Identity", "Where"}
