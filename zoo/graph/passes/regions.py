"""Regions of a graph that one operator can compute: as many operators as have one input and one output together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes.decisions import Decision
from zoo.graph.shapes import Shape

Shapes = dict[str, list[Shape]]  # those of all outputs by the names of their nodes
Check = Callable[[Node, Shape], str]  # why a node that takes data of that shape is left to MXNet; empty if it is not

PRODUCTS = ("Convolution", "FullyConnected")
SUMS = ("elemwise_add", "_plus", "broadcast_add")
ACTIVATIONS = ("tanh", "relu")
# The factor and the summand that they are, by their number.
SCALARS: dict[str, Callable[[float], tuple[float, float]]] = {
    "_plus_scalar": lambda number: (1.0, number),
    "_minus_scalar": lambda number: (1.0, -number),
    "_mul_scalar": lambda number: (number, 0.0),
    "_div_scalar": lambda number: (1 / number, 0.0),
}
_AXES = ("channels", "height", "width")
_MOST_VALUES = 2**26  # of an image: with padding and whole vectors, their places fit into 32 bits
_CASTS = ("Cast", "cast", "amp_cast", "amp_multicast")
_TWO_INPUTS = "its inputs come from different operators"
_NO_PRODUCT = "no convolution or fully connected layer can be joined with it"


def replace(
    graph: Graph, shapes: Shapes, checks: Mapping[str, Check], write: Callable[[list[Node]], Node]
) -> list[Decision]:
    """Replace every region by what ``write`` makes of its operators; ``checks`` are those of the operators it knows."""
    decisions: list[Decision] = []
    left = [node for node in graph.nodes() if not node.is_variable]
    obstacles = {node.name: _obstacle(node, shapes, checks) for node in left} | _several_outputs(graph)
    if any(node.operator in _CASTS for node in left):
        obstacles = dict.fromkeys(obstacles, "the network computes in several dtypes")
    while left:
        first = left[0]
        obstacle = obstacles[first.name] or (_TWO_INPUTS if len(set(data(first))) > 1 else "")
        region = [first] if obstacle else _region(graph, [node for node in left if not obstacles[node.name]])
        if not obstacle and not any(node.operator in PRODUCTS for node in region):
            obstacle = _NO_PRODUCT
        if obstacle:
            decisions += [Decision(node.name, (node.name,), obstacle) for node in region]
        else:
            decisions.append(Decision(region[-1].name, tuple(node.name for node in region)))
            graph.replace(region[-1], (write(region), 0))
        left = [node for node in left if node not in region]
    return decisions


def data(node: Node) -> list[Output]:
    """Return the inputs that are not parameters."""
    return node.inputs if node.operator in SUMS else node.inputs[:1]


def extents(prefix: str, shape: Shape) -> dict[str, str]:
    """Return attributes that name the extents of one image, or one vector."""
    return {f"{prefix}{name}": str(extent) for name, extent in zip(_AXES, shape[1:])}


def image(shapes: Shapes, output: Output) -> tuple[int, int, int]:
    """Return channels, height and width; vectors are images of one pixel."""
    _, channels, *rest = shapes[output[0].name][output[1]]
    height, width = rest or (1, 1)
    return channels, height, width


def _several_outputs(graph: Graph) -> dict[str, str]:
    """Obstacles by the names of nodes of which more than the first output is taken."""
    taken = [*graph.heads, *(each for node in graph.nodes() for each in node.inputs)]
    return {node.name: "more than its first output is used" for node, output in taken if output > 0}


def _region(graph: Graph, candidates: list[Node]) -> list[Node]:
    """As many of the candidates, from the first one on, as have one input and one output together."""
    source = data(candidates[0])[0]
    members: list[Node] = []
    for node in candidates:
        if all(each == source or each[0] in members for each in data(node)):
            members.append(node)
    while len(members) > 1 and len(_outputs(graph, members)) > 1:
        members.pop()
    return members


def _outputs(graph: Graph, members: list[Node]) -> list[Node]:
    """Those that others, or the caller, take."""
    taken = {id(head) for head, _ in graph.heads}
    for node in graph.nodes():
        if node not in members:
            taken |= {id(each) for each, _ in node.inputs}
    return [node for node in members if id(node) in taken]


def _obstacle(node: Node, shapes: Shapes, checks: Mapping[str, Check]) -> str:
    """Why no region takes ``node``; empty if one does."""
    source, output = node.inputs[0] if node.inputs else (node, 0)
    taken, put_out = shapes[source.name][output], shapes[node.name][0]
    if not all(each.is_variable for each, _ in node.inputs[len(data(node)) :]):
        return "its parameters are computed"
    if any(shapes[each.name][number] != taken for each, number in data(node)):
        return "it adds arrays of different shapes"
    if max(prod(taken[1:]), prod(put_out[1:])) >= _MOST_VALUES:
        return "its images are too large"
    if any(len(shape) not in (2, 4) for shape in (taken, put_out)):
        return "its input or output is neither images nor vectors"
    if node.get("layout") not in (None, "NCHW"):
        return f"its layout is {node.get('layout')}"
    flat = [each for each, _ in data(node) if each.operator == "Flatten" and _is_spatial(each, shapes)]
    if flat and node.operator != "FullyConnected":
        return "it follows Flatten but is not a fully connected layer"
    check = checks.get(node.operator)
    return check(node, taken) if check else "there is no kernel for it"


def _is_spatial(flatten: Node, shapes: Shapes) -> bool:
    source, output = flatten.inputs[0]
    return shapes[source.name][output][2:] not in ((), (1, 1))


def check_convolution(node: Node, _: Shape) -> str:
    """Refuse what no kernel for convolutions computes."""
    if node.pair("dilate", 1) != (1, 1):
        return "it is dilated"
    groups = node.get("num_group", 1)
    return "" if groups == 1 else f"it has {groups} groups"


def _check_dense(node: Node, taken: Shape) -> str:
    return "" if node.is_set("flatten", True) or len(taken) == 2 else "it does not flatten its input"


def _check_pooling(node: Node, _: Shape) -> str:
    kind = node.get("pool_type", "max")
    if kind not in ("max", "avg"):
        return f"it pools by {kind}"
    if node.is_set("global_pool"):
        return ""
    if any(pad >= kernel for pad, kernel in zip(node.pair("pad", 0), node.pair("kernel", 1))):
        return "its padding is not smaller than its kernel"
    if kind == "avg" and node.pair("pad", 0) != (0, 0):
        return "its averages are padded"
    is_valid = node.get("pooling_convention", "valid") == "valid"
    return "" if is_valid else "its windows reach beyond the image"


def check_norm(node: Node, _: Shape) -> str:
    """Refuse BatchNorm of anything but channels."""
    axis = node.get("axis", 1)
    return "" if axis == 1 else f"it normalizes axis {axis}"


def _check_activation(node: Node, _: Shape) -> str:
    kind = node.get("act_type")
    return "" if kind in ACTIVATIONS else f"its activation is {kind}"


def _check_scalar(node: Node, _: Shape) -> str:
    size = abs(float(node.get("scalar", 1)))
    is_harmless_zero = size == 0 and node.operator != "_div_scalar"
    return "" if is_harmless_zero or 1e-30 < size < 1e30 else "its number is too large or too small"


CHECKS: dict[str, Check] = {
    "Convolution": check_convolution,
    "FullyConnected": _check_dense,
    "Pooling": _check_pooling,
    "BatchNorm": check_norm,
    "Activation": _check_activation,
    **dict.fromkeys(SCALARS, _check_scalar),
    **dict.fromkeys(("Flatten", *ACTIVATIONS), lambda node, taken: ""),
    **dict.fromkeys(SUMS, lambda node, taken: ""),
}
