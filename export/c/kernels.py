"""The C function of every layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from export.c import moves, products
from export.c.arithmetic import Arithmetic, Code
from export.c.plan import Convolution, Crop, Dense, Elementwise, Join, Layer, Pad, Pool, Softmax, Transpose

_KERNELS: dict[type[Layer], Callable[[Any, Code, Arithmetic], list[str]]] = {
    Convolution: products.convolution,
    Crop: moves.crop,
    Dense: products.dense,
    Elementwise: moves.elementwise,
    Join: moves.join,
    Pad: moves.pad,
    Pool: moves.pool,
    Softmax: moves.softmax,
    Transpose: moves.transpose,
}


def code(layer: Layer, prefix: str, kind: Arithmetic) -> Code:
    """Return the body of the function of ``layer``, which reads ``in0`` …, and ``with0`` …, and writes ``out``."""
    found = Code(prefix)
    found.lines = _KERNELS[type(layer)](layer, found, kind)
    return found
