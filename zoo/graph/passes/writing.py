"""Regions in words that the kernels read: numbered values, and the steps that put them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes import regions
from zoo.graph.passes.matching import Matcher
from zoo.graph.passes.regions import SUMS, Shapes

LANES = "any"  # what the lanes of vectors are: "channels", "images", or "any" for whichever is faster


@dataclass
class Step:
    """What puts a value out."""

    kind: str
    values: list[int]  # that it reads; 0 is the input, i what step i - 1 puts out
    words: str = ""
    pad: tuple[int, int] = (0, 0)
    parts: list[str] = field(default_factory=list)  # what is done to the value at last

    def text(self) -> str:
        """Return the step in words."""
        return " ".join(filter(None, (self.kind, *map(str, self.values), self.words, *self.parts, ";")))


class Writer(ABC):
    """Writes the operators of a region."""

    operator: str  # that computes them

    def __init__(self, graph: Graph, region: list[Node], shapes: Shapes) -> None:
        self.region = region
        self.shapes = shapes
        self.source = regions.data(region[0])[0]
        self.steps: list[Step] = []
        self.extents = [regions.image(shapes, self.source)]  # of the values
        self.parameters: list[Output] = []
        self.matcher = Matcher(graph)
        self.numbers: dict[int, int] = {id(self.source[0]): 0}  # of values, by the node that puts them out

    def node(self) -> Node:
        """Return the region as one operator."""
        for node in self.region:
            self.numbers[id(node)] = self._number(node)
        last = self.region[-1]
        source, output = self.source
        attributes = {"program": f"{LANES} {self.text()}", "parameters": str(len(self.parameters))}
        attributes |= regions.extents("in_", self.shapes[source.name][output])
        attributes |= regions.extents("", self.shapes[last.name][0])
        return Node(self.operator, last.name, attributes | self.facts(), [self.source, *self.parameters])

    @abstractmethod
    def text(self) -> str:
        """Return the program."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return more attributes of the operator."""

    @abstractmethod
    def step(self, node: Node, values: list[int]) -> Step | None:
        """Return the step that ``node`` begins; None if it is a part of the one before."""

    @abstractmethod
    def parts(self, node: Node, step: Step) -> list[str] | None:
        """Return what ``node`` does at the end of ``step``; None if it has to begin a step of its own."""

    def parameter(self, parameter: Output) -> int:
        """Return the number of a parameter."""
        if parameter not in self.parameters:
            self.parameters.append(parameter)
        return self.parameters.index(parameter)

    def window(self, node: Node, value: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Return kernel, stride and pad of a convolution or a pooling."""
        if node.is_set("global_pool"):
            return self.extents[value][1:], (1, 1), (0, 0)
        return node.pair("kernel", 1), node.pair("stride", 1), node.pair("pad", 0)

    def norm(self, node: Node) -> str:
        """Return the parameters of a BatchNorm."""
        gamma, *others = node.inputs[1:]
        numbers = [-1 if node.is_set("fix_gamma", True) else self.parameter(gamma)]
        numbers += [self.parameter(each) for each in others]
        return f"norm {' '.join(map(str, numbers))} {node.get('eps', 0.001)}"

    def is_thin(self) -> bool:
        """Whether the input has one channel, and only products read it."""
        readers = [step for step in self.steps if 0 in step.values]
        return self.extents[0][0] == 1 and all(step.kind in ("convolution", "dense") for step in readers)

    def _number(self, node: Node) -> int:
        """The value that ``node`` puts out: that of a new step, or of the one before, with another part."""
        values = [self.numbers[id(source)] for source, _ in regions.data(node)]
        if node.operator == "Flatten":
            return values[0]
        step = Step("sum", values) if node.operator in SUMS else self.step(node, values)
        if step is not None:
            return self._add(node, step)
        number, parts = values[0], None
        if number > 0 and not self._is_shared(node.inputs[0][0]):
            parts = self.parts(node, self.steps[number - 1])
        if parts is None:
            number = self._add(node, Step("pass", values))
            parts = self.parts(node, self.steps[number - 1])
            assert parts is not None  # for a step without parts takes any
        self.steps[number - 1].parts += parts
        self.extents[number] = regions.image(self.shapes, (node, 0))
        return number

    def _add(self, node: Node, step: Step) -> int:
        self.steps.append(step)
        self.extents.append(regions.image(self.shapes, (node, 0)))
        return len(self.steps)

    def _is_shared(self, node: Node) -> bool:
        """Whether others than its one consumer read the value of ``node``, which is that before a Flatten."""
        while node.operator == "Flatten" and not self.matcher.is_shared(node):
            node = node.inputs[0][0]
        return self.matcher.is_shared(node)
