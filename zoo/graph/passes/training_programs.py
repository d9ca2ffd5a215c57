"""Networks for training in float32 as programs of this project's kernels, forward and backward.

    convolution, fully connected, sum, each with
        [bias] [activation] [Dropout] [BatchNorm, or scalars] [activation] [pooling]      becomes   a step
    steps of one input and one output                                                     become    zoo_training

Candidates are all operators; a program has at least one convolution or fully connected layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.graph.ir import Graph, Node
from zoo.graph.passes import regions
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import has_parameters, is_plain_dropout
from zoo.graph.passes.regions import CHECKS, PRODUCTS, SCALARS, Check, Shapes
from zoo.graph.passes.writing import Step, Writer
from zoo.graph.shapes import Shape

# The parts of a step in their order; it has one of each number.
_ORDER = {"before": 0, "dropout": 1, "norm": 2, "affine": 2, "after": 3, "max": 4, "mean": 4}


def form(graph: Graph, shapes: Shapes) -> list[Decision]:
    """Replace whatever can be replaced."""
    shared = _shared_parameters(graph)
    checks = {operator: _with_shared(check, shared) for operator, check in _CHECKS.items()}
    return regions.replace(graph, shapes, checks, lambda region: _Writer(graph, region, shapes).node())


def _shared_parameters(graph: Graph) -> set[str]:
    """The names of variables that several operators read."""
    consumers = graph.consumers()
    return {node.name for node in graph.nodes() if node.is_variable and len(consumers.get(id(node), [])) > 1}


def _with_shared(check: Check, shared: set[str]) -> Check:
    def refuse(node: Node, taken: Shape) -> str:
        if any(each.name in shared for each, _ in node.inputs[len(regions.data(node)) :]):
            return "it shares its parameters with another operator"
        return check(node, taken)

    return refuse


def _check_convolution(node: Node, taken: Shape) -> str:
    if node.pair("stride", 1) != (1, 1):
        return "it has strides"
    if any(pad >= kernel for pad, kernel in zip(node.pair("pad", 0), node.pair("kernel", 1))):
        return "its padding is not smaller than its kernel"
    return regions.check_convolution(node, taken)


def _check_norm(node: Node, taken: Shape) -> str:
    if node.is_set("use_global_stats"):
        return "it normalizes by its running statistics in training, too"
    return regions.check_norm(node, taken)


def _check_dropout(node: Node, _: Shape) -> str:
    return "" if is_plain_dropout(node) else "it drops at inference, too, or whole axes at once"


_CHECKS: Mapping[str, Check] = {
    **CHECKS,
    "Convolution": _check_convolution,
    "BatchNorm": _check_norm,
    "Dropout": _check_dropout,
}


class _Writer(Writer):
    """Writes in the words that zoo/kernels/training.h reads."""

    operator = "zoo_training"

    def __init__(self, graph: Graph, region: list[Node], shapes: Shapes) -> None:
        super().__init__(graph, region, shapes)
        self._returns_gradient = has_parameters(self.source)
        self._mutated: list[int] = []  # inputs

    def node(self) -> Node:
        made = super().node()
        for each, number in self.parameters:  # MXNet crashes where it has to infer the shapes of several
            each.attributes["__shape__"] = str(self.shapes[each.name][number])
        source = self.source[0]
        if self._returns_gradient and self.matcher.is_shared(source):  # MXNet would sum gradients in place
            made.inputs[0] = (Node("_copy", f"{made.name}_input", inputs=[self.source]), 0)
        return made

    def step(self, node: Node, values: list[int]) -> Step | None:
        if node.operator not in PRODUCTS:
            return None
        bias = -1 if node.is_set("no_bias") else self.parameter(node.inputs[2])
        words: list[Any] = [self.parameter(node.inputs[1]), bias]
        if node.operator == "FullyConnected":
            return Step("dense", values, " ".join(map(str, [*words, node.get("num_hidden")])))
        kernel, stride, pad = self.window(node, values[0])
        words += [node.get("num_filter"), *kernel, *stride, *pad]
        return Step("convolution", values, " ".join(map(str, words)), pad)

    def parts(self, node: Node, step: Step) -> list[str] | None:
        kind, numbers = self._part(node, step)
        is_later = not step.parts or _ORDER[kind] > _ORDER[step.parts[-1].split()[0]]
        return [f"{kind} {numbers}"] if is_later else None

    def _part(self, node: Node, step: Step) -> tuple[str, str]:
        if node.operator == "Dropout":
            return "dropout", str(node.get("p", 0.5))
        if node.operator == "BatchNorm":
            text = self.norm(node)
            self._mutated += [1 + self.parameter(each) for each in node.inputs[3:]]
            return "norm", f"{text.removeprefix('norm ')} {node.get('momentum', 0.9)}"
        if node.operator in SCALARS:
            factor, summand = SCALARS[node.operator](float(node.get("scalar", 1)))
            return "affine", f"{factor!r} {summand!r}"
        if node.operator == "Pooling":
            kernel, stride, pad = self.window(node, self.numbers[id(node.inputs[0][0])])
            kind = "max" if node.get("pool_type", "max") == "max" else "mean"
            return kind, " ".join(map(str, (*kernel, *stride, *pad)))
        is_first = step.kind in ("convolution", "dense") and not step.parts
        return "before" if is_first else "after", node.get("act_type", node.operator)

    def facts(self) -> dict[str, str]:
        return {"mutated": " ".join(map(str, self._mutated))}

    def text(self) -> str:
        is_thin = self.is_thin() and not self._returns_gradient
        head = (len(self.parameters), *self.extents[0], int(is_thin), int(self._returns_gradient), ";")
        return " ".join([*map(str, head), *(step.text() for step in self.steps)])
