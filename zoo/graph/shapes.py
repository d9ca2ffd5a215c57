"""The shapes of the arrays of a graph."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from math import prod

from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph.ir import Graph, interface
from zoo.runtime import mx

Shape = tuple[int, ...]
_MOST_ELEMENTS = 2**31  # of an array in MXNet 1.9.1 as distributed


def infer(graph: Graph, shapes: Mapping[str, Shape]) -> dict[str, list[Shape]]:
    """Infer the shapes of all outputs of every node by name; operators that share a name are numbered first.

    ``shapes`` are those of the variables. Raises :class:`ZooError` if they do not fit together, and for shapes that
    MXNet infers without complaint but then computes out of bounds.
    """
    graph.name_uniquely()
    internals = graph.symbol().get_internals()
    auxiliary = internals.list_auxiliary_states()
    arguments = {name: shapes[name] for name in internals.list_arguments() if name in shapes}
    try:
        with (
            interface(graph.numpy),
            contextlib.redirect_stdout(None),
        ):  # MXNet prints the arguments when it refuses them
            taken, inferred, states = internals.infer_shape(**arguments)
    except mx.base.MXNetError as error:
        raise ZooError(mxnet_reason(error)) from None
    if inferred is None:
        raise ZooError("the shapes do not follow from that of the data")
    for name, shape in zip([*internals.list_arguments(), *auxiliary], [*taken, *states]):
        if shapes.get(name, shape) != shape:  # MXNet silently corrects those of some operators
            raise ZooError(f"{name} is {shapes[name]} and should be {shape}")
    nodes = list(graph.nodes())
    found: dict[str, list[Shape]] = {node.name: [] for node in nodes}
    for each, shape in zip(internals, inferred):
        found[each.name].append(shape)
    for node in nodes:
        for shape in found[node.name]:
            if prod(shape) >= _MOST_ELEMENTS:
                raise ZooError(f"the {node.operator} {node.name!r} puts out {shape}, more than MXNet can address")
        if node.operator == "Reshape":
            (source, output), (after,) = node.inputs[0], found[node.name]
            before = found[source.name][output]
            if prod(before) != prod(after):
                raise ZooError(f"the Reshape {node.name!r} makes {after} of {before}, another number of elements")
    return found


def ranks(graph: Graph, input_shape: Shape) -> dict[str, int]:
    """Return the number of dimensions of every node's first output, for a batch of inputs of ``input_shape``."""
    return {name: len(shapes[0]) for name, shapes in infer(graph, {"data": (1, *input_shape)}).items()}
