"""Networks for inference in float32 as programs of this project's kernels.

    convolution, fully connected, pooling, sum, each with [bias] [BatchNorm] [activation] [scalars] ...
                                                    becomes   a step
    steps of one input and one output               become    zoo_program

BatchNorm with its running statistics is a factor and a summand for each channel, and so are biases and scalars.
Candidates are all operators; a program has at least one convolution or fully connected layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod

from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import Matcher
from zoo.graph.shapes import Shape

_PRODUCTS = ("Convolution", "FullyConnected")
_SUMS = ("elemwise_add", "_plus", "broadcast_add")
_SCALARS = {  # what stage they are, by their number
    "_plus_scalar": lambda number: f"plus {number!r}",
    "_minus_scalar": lambda number: f"plus {-number!r}",
    "_mul_scalar": lambda number: f"times {number!r}",
    "_div_scalar": lambda number: f"times {1 / number!r}",
}
_ACTIVATIONS = ("tanh", "relu")
_AXES = ("channels", "height", "width")
_MOST_VALUES = 2**26  # of an image: with padding and whole vectors, their places fit into 32 bits
_CASTS = ("Cast", "cast", "amp_cast", "amp_multicast")
_TWO_INPUTS = "its inputs come from different operators"
_NO_PRODUCT = "no convolution or fully connected layer can be joined with it"


def form(graph: Graph, shapes: dict[str, list[Shape]]) -> list[Decision]:
    """Replace whatever can be replaced; ``shapes`` are those of all outputs by the names of their nodes."""
    decisions: list[Decision] = []
    left = [node for node in graph.nodes() if not node.is_variable]
    obstacles = {node.name: _obstacle(node, shapes) for node in left} | _several_outputs(graph)
    if any(node.operator in _CASTS for node in left):
        obstacles = dict.fromkeys(obstacles, "the network computes in several dtypes")
    while left:
        first = left[0]
        obstacle = obstacles[first.name] or (_TWO_INPUTS if len(set(_data(first))) > 1 else "")
        region = [first] if obstacle else _region(graph, [node for node in left if not obstacles[node.name]])
        if not obstacle and not any(node.operator in _PRODUCTS for node in region):
            obstacle = _NO_PRODUCT
        if obstacle:
            decisions += [Decision(node.name, (node.name,), obstacle) for node in region]
        else:
            decisions.append(Decision(region[-1].name, tuple(node.name for node in region)))
            graph.replace(region[-1], (_Writer(graph, region, shapes).program(), 0))
        left = [node for node in left if node not in region]
    return decisions


def _several_outputs(graph: Graph) -> dict[str, str]:
    """Obstacles by the names of nodes of which more than the first output is taken."""
    taken = [*graph.heads, *(each for node in graph.nodes() for each in node.inputs)]
    return {node.name: "more than its first output is used" for node, output in taken if output > 0}


def _region(graph: Graph, candidates: list[Node]) -> list[Node]:
    """As many of the candidates, from the first one on, as have one input and one output together."""
    source = _data(candidates[0])[0]
    members: list[Node] = []
    for node in candidates:
        if all(each == source or each[0] in members for each in _data(node)):
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


def _data(node: Node) -> list[Output]:
    """The inputs that are not parameters."""
    return node.inputs if node.operator in _SUMS else node.inputs[:1]


def _obstacle(node: Node, shapes: dict[str, list[Shape]]) -> str:
    """Why no program takes ``node``; empty if one does."""
    source, output = node.inputs[0] if node.inputs else (node, 0)
    taken, put_out = shapes[source.name][output], shapes[node.name][0]
    if not all(each.is_variable for each, _ in node.inputs[len(_data(node)) :]):
        return "its parameters are computed"
    data = [shapes[each.name][number] for each, number in _data(node)]
    if any(shape != taken for shape in data):
        return "it adds arrays of different shapes"
    if max(prod(taken[1:]), prod(put_out[1:])) >= _MOST_VALUES:
        return "its images are too large"
    if any(len(shape) not in (2, 4) for shape in (taken, put_out)):
        return "its input or output is neither images nor vectors"
    if node.attributes.get("layout", "None") not in ("None", "NCHW"):
        return f"its layout is {node.attributes['layout']}"
    flat = [each for each, _ in _data(node) if each.operator == "Flatten" and _is_spatial(each, shapes)]
    if flat and node.operator != "FullyConnected":
        return "it follows Flatten but is not a fully connected layer"
    check = _CHECKS.get(node.operator)
    return check(node, taken) if check else "there is no kernel for it"


def _check_convolution(node: Node, _: Shape) -> str:
    if node.pair("dilate", 1) != (1, 1):
        return "it is dilated"
    groups = node.attributes.get("num_group", "1")
    return "" if groups == "1" else f"it has {groups} groups"


def _check_dense(node: Node, taken: Shape) -> str:
    return "" if node.is_set("flatten", True) or len(taken) == 2 else "it does not flatten its input"


def _check_pooling(node: Node, _: Shape) -> str:
    kind = node.attributes.get("pool_type", "max")
    if kind not in ("max", "avg"):
        return f"it pools by {kind}"
    if node.is_set("global_pool"):
        return ""
    if any(pad >= kernel for pad, kernel in zip(node.pair("pad", 0), node.pair("kernel", 1))):
        return "its padding is not smaller than its kernel"
    if kind == "avg" and node.pair("pad", 0) != (0, 0):
        return "its averages are padded"
    is_valid = node.attributes.get("pooling_convention", "valid") == "valid"
    return "" if is_valid else "its windows reach beyond the image"


def _check_norm(node: Node, _: Shape) -> str:
    axis = node.attributes.get("axis", "1")
    return "" if axis == "1" else f"it normalizes axis {axis}"


def _check_activation(node: Node, _: Shape) -> str:
    kind = node.attributes["act_type"]
    return "" if kind in _ACTIVATIONS else f"its activation is {kind}"


def _check_scalar(node: Node, _: Shape) -> str:
    size = abs(float(node.attributes["scalar"]))
    is_harmless_zero = size == 0 and node.operator != "_div_scalar"
    return "" if is_harmless_zero or 1e-30 < size < 1e30 else "its number is too large or too small"


_CHECKS: dict[str, Callable[[Node, Shape], str]] = {
    "Convolution": _check_convolution,
    "FullyConnected": _check_dense,
    "Pooling": _check_pooling,
    "BatchNorm": _check_norm,
    "Activation": _check_activation,
    **dict.fromkeys(_SCALARS, _check_scalar),
    **dict.fromkeys(("Flatten", *_ACTIVATIONS), lambda node, taken: ""),
    **dict.fromkeys(_SUMS, lambda node, taken: ""),
}


def _is_spatial(flatten: Node, shapes: dict[str, list[Shape]]) -> bool:
    source, output = flatten.inputs[0]
    return shapes[source.name][output][2:] not in ((), (1, 1))


@dataclass
class _Step:
    kind: str
    values: list[int]  # that it reads; 0 is the input, i what step i - 1 puts out
    words: str = ""
    pad: tuple[int, int] = (0, 0)
    stages: list[str] = field(default_factory=list)


class _Writer:
    """Writes the operators of a region in the words that zoo/kernels/program.h reads."""

    def __init__(self, graph: Graph, region: list[Node], shapes: dict[str, list[Shape]]) -> None:
        self._region = region
        self._shapes = shapes
        self._matcher = Matcher(graph)
        self._source = _data(region[0])[0]
        self._steps: list[_Step] = []
        self._extents = [self._extent(self._source)]
        self._numbers: dict[int, int] = {id(self._source[0]): 0}  # of values, by the node that puts them out
        self._parameters: list[Output] = []

    def program(self) -> Node:
        """The region as one operator."""
        for node in self._region:
            self._numbers[id(node)] = self._number(node)
        last = self._region[-1]
        attributes = {"program": self._text(), "parameters": str(len(self._parameters))}
        source, output = self._source
        for prefix, shape in (("in_", self._shapes[source.name][output]), ("", self._shapes[last.name][0])):
            attributes |= {f"{prefix}{name}": str(extent) for name, extent in zip(_AXES, shape[1:])}
        attributes["sizes"] = " ".join(str(prod(self._shapes[each.name][number])) for each, number in self._parameters)
        return Node("zoo_program", last.name, attributes, [self._source, *self._parameters])

    def _number(self, node: Node) -> int:
        """The value that ``node`` puts out: that of a new step, or of the one before, with another stage."""
        values = [self._numbers[id(source)] for source, _ in _data(node)]
        if node.operator == "Flatten":
            return values[0]
        if node.operator in _PRODUCTS:
            return self._add(node, self._product(node, values))
        if node.operator == "Pooling":
            return self._add(node, self._pooling(node, values))
        if node.operator in _SUMS:
            return self._add(node, _Step("sum", values))
        if values[0] == 0 or self._is_shared(node.inputs[0][0]):
            self._add(node, _Step("pass", values))
            values = [len(self._steps)]
        self._steps[values[0] - 1].stages += self._stages(node)
        return values[0]

    def _is_shared(self, node: Node) -> bool:
        """Whether others than its one consumer read the value of ``node``, which is that before a Flatten."""
        while node.operator == "Flatten" and not self._matcher.is_shared(node):
            node = node.inputs[0][0]
        return self._matcher.is_shared(node)

    def _add(self, node: Node, step: _Step) -> int:
        self._steps.append(step)
        self._extents.append(self._extent((node, 0)))
        return len(self._steps)

    def _product(self, node: Node, values: list[int]) -> _Step:
        if node.operator == "Convolution":
            kernel, stride, pad = node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0)
        else:
            kernel, stride, pad = self._extents[values[0]][1:], (1, 1), (0, 0)
        words = " ".join(map(str, (self._parameter(node.inputs[1]), *kernel, *stride, *pad)))
        bias = [] if node.is_set("no_bias") else [f"bias {self._parameter(node.inputs[2])}"]
        return _Step("convolution", values, words, pad, bias)

    def _pooling(self, node: Node, values: list[int]) -> _Step:
        kernel, stride, pad = node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0)
        if node.is_set("global_pool"):
            kernel, stride, pad = self._extents[values[0]][1:], (1, 1), (0, 0)
        kind = "max" if node.attributes.get("pool_type", "max") == "max" else "mean"
        return _Step(kind, values, " ".join(map(str, (*kernel, *stride, *pad))))

    def _stages(self, node: Node) -> list[str]:
        if node.operator == "BatchNorm":
            gamma, *others = node.inputs[1:]
            numbers = [-1 if node.is_set("fix_gamma", True) else self._parameter(gamma)]
            numbers += [self._parameter(each) for each in others]
            return [f"norm {' '.join(map(str, numbers))} {node.attributes.get('eps', '0.001')}"]
        if node.operator in _SCALARS:
            return [_SCALARS[node.operator](float(node.attributes["scalar"]))]
        return [node.attributes.get("act_type", node.operator)]

    def _parameter(self, parameter: Output) -> int:
        if parameter not in self._parameters:
            self._parameters.append(parameter)
        return self._parameters.index(parameter)

    def _extent(self, output: Output) -> tuple[int, int, int]:
        """Channels, height and width; vectors are images of one pixel."""
        _, channels, *rest = self._shapes[output[0].name][output[1]]
        height, width = rest or (1, 1)
        return channels, height, width

    def _text(self) -> str:
        return f"{' '.join(self._values())} ; {' '.join(self._words())}"

    def _values(self) -> Iterator[str]:
        for number, extent in enumerate(self._extents):
            readers = [step for step in self._steps if number in step.values]
            products = [step for step in readers if step.kind == "convolution"]
            is_thin = number == 0 and extent[0] == 1 and products == readers
            border = [max((step.pad[axis] for step in products), default=0) for axis in (0, 1)]
            yield " ".join(map(str, (*extent, int(is_thin), *border)))

    def _words(self) -> Iterator[str]:
        for step in self._steps:
            yield " ".join(filter(None, (step.kind, *map(str, step.values), step.words, *step.stages, ";")))
