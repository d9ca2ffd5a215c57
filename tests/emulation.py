"""float16 on a CPU, where MXNet has no float16 layers: float32, rounded to float16 wherever float16 would occur."""

from __future__ import annotations

import pytest

from zoo import kernels
from zoo.graph import execution
from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes import casting

_cast = casting.cast


def emulate_float16(patch: pytest.MonkeyPatch) -> None:
    """Let CPUs accept float16, with graphs such as those for GPUs.

    Their 16-bit arrays are rounded to float16 and back, and so are the gradients of these arrays in the backward pass.
    """
    patch.setattr(kernels, "available", lambda: kernels.Kernels(False, False, "not on GPUs"))
    patch.setattr(execution, "check", lambda dtype, placed: None)
    patch.setattr(casting, "cast", _cast_and_round)


def _cast_and_round(graph: Graph, low: str) -> dict[str, str]:
    dtypes = _cast(graph, low)
    rounded: set[int] = set()  # conversions back to float32, by id

    def widened(node: Node) -> Output:
        wide = Node("amp_cast", f"{node.name}_wide", {"dtype": "float32"}, [(node, 0)])
        rounded.add(id(wide))
        return wide, 0

    for node in list(graph.nodes()):
        if node.operator == "amp_cast" and node.attributes["dtype"] == low:
            graph.replace(node, widened(node))
        elif node.inputs and id(node.inputs[0][0]) in rounded and node.operator != "amp_cast":
            graph.replace(node, widened(Node("amp_cast", f"{node.name}_{low}", {"dtype": low}, [(node, 0)])))
    return dtypes
