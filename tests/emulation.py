"""float16 on a CPU, for which MXNet has no layers in it: float32 that is rounded to float16 wherever that would be."""

from __future__ import annotations

import pytest

from zoo import kernels
from zoo.graph import execution
from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes import casting

_cast = casting.cast


def emulate_float16(patch: pytest.MonkeyPatch) -> None:
    """Let CPUs take float16, by graphs such as those for GPUs.

    Their arrays of 16 bits are rounded to float16 and back; and so are, on the way back, the gradients of these.
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
