"""Networks for inference as programs of this project's kernels.

    convolution, fully connected, pooling, sum, each with [bias] [BatchNorm] [activation] [scalars] ...
                                                    becomes   a step
    steps of one input and one output               become    zoo_program

BatchNorm with its running statistics is a factor and a summand for each channel, and so are biases and scalars.
Candidates are all operators; a program has at least one convolution or fully connected layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from zoo.graph.ir import Graph, Node
from zoo.graph.passes import regions
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.regions import PRODUCTS, SCALARS, Shapes
from zoo.graph.passes.writing import Step, Writer


def form(graph: Graph, shapes: Shapes, dtype: str = "float32") -> list[Decision]:
    """Replace whatever can be replaced; ``dtype`` "bfloat16" allows layers to round what they read."""
    return regions.replace(graph, shapes, regions.CHECKS, lambda region: _Writer(graph, region, shapes, dtype).node())


class _Writer(Writer):
    """Writes in the words that zoo/kernels/program.h reads."""

    operator = "zoo_program"

    def __init__(self, graph: Graph, region: list[Node], shapes: Shapes, dtype: str) -> None:
        super().__init__(graph, region, shapes)
        self.dtype = dtype

    def step(self, node: Node, values: list[int]) -> Step | None:
        if node.operator in PRODUCTS:
            if node.operator == "Convolution":
                kernel, stride, pad = self.window(node, values[0])
            else:
                kernel, stride, pad = self.extents[values[0]][1:], (1, 1), (0, 0)
            words = " ".join(map(str, (self.parameter(node.inputs[1]), *kernel, *stride, *pad)))
            bias = [] if node.is_set("no_bias") else [f"bias {self.parameter(node.inputs[2])}"]
            return Step("convolution", values, words, pad, bias)
        if node.operator == "Pooling":
            kernel, stride, pad = self.window(node, values[0])
            kind = "max" if node.get("pool_type", "max") == "max" else "mean"
            return Step(kind, values, " ".join(map(str, (*kernel, *stride, *pad))))
        return None

    def parts(self, node: Node, _: Step) -> list[str]:
        if node.operator == "BatchNorm":
            return [self.norm(node)]
        if node.operator in SCALARS:
            factor, summand = SCALARS[node.operator](float(node.get("scalar", 1)))
            return [f"times {factor!r}"] * (factor != 1) + [f"plus {summand!r}"] * (summand != 0)
        return [node.get("act_type", node.operator)]

    def facts(self) -> dict[str, str]:
        sizes = (prod(self.shapes[each.name][number]) for each, number in self.parameters)
        return {"sizes": " ".join(map(str, sizes))}

    def text(self) -> str:
        return " ".join([self.dtype, *self._values(), ";", *(step.text() for step in self.steps)])

    def _values(self) -> Iterator[str]:
        for number, extent in enumerate(self.extents):
            products = [step for step in self.steps if number in step.values and step.kind == "convolution"]
            border = [max((step.pad[axis] for step in products), default=0) for axis in (0, 1)]
            yield " ".join(map(str, (*extent, int(number == 0 and self.is_thin()), *border)))
