"""A symbol's graph as Python objects, to be inspected, changed and turned back into a symbol."""

from __future__ import annotations

import contextlib
import ctypes
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import ZooError
from zoo.graph import attributes
from zoo.runtime import mx

INPUTS = ("data",)  # of a network that takes one array


def symbol_of(net: mx.gluon.HybridBlock, inputs: Sequence[str] = INPUTS) -> mx.sym.Symbol:
    """Return all outputs of ``net`` as a symbol of the variables ``inputs``, which it is called with.

    It is a symbol of MXNet's NumPy interface if ``net`` is written for that, whether or not the interface is on.
    """
    numpy = has_numpy_arrays(net)
    try:
        return _composed(net, inputs, numpy)
    except Exception:  # the network's own code, which may be written for the other interface
        with contextlib.suppress(Exception):
            return _composed(net, inputs, not numpy)
        raise


def _composed(net: mx.gluon.HybridBlock, inputs: Sequence[str], numpy: bool) -> mx.sym.Symbol:
    if numpy and isinstance(net, mx.gluon.SymbolBlock):  # MXNet cannot call these with a symbol
        return net._cached_graph[1]
    with interface(numpy), mx.name.NameManager():  # number unnamed operators from 0
        outputs = net(*(variable(name, numpy) for name in inputs))
    return outputs if isinstance(outputs, mx.sym.Symbol) else mx.sym.Group(list(outputs), type(outputs[0]))


def variable(name: str, numpy: bool) -> mx.sym.Symbol:
    """Return the variable ``name``, one of MXNet's NumPy interface if ``numpy``."""
    return mx.sym.var(name).as_np_ndarray() if numpy else mx.sym.var(name)


def has_numpy_arrays(net: mx.gluon.HybridBlock) -> bool:
    """Whether the parameters are arrays of the NumPy interface; if there are none with values, whether that is on."""
    for parameter in net.collect_params().values():
        with contextlib.suppress(RuntimeError):  # Gluon raises it for parameters without values
            return isinstance(parameter.list_data()[0], mx.np.ndarray)
    return mx.util.is_np_array()


def is_numpy(symbol: mx.sym.Symbol) -> bool:
    """Whether ``symbol`` is one of MXNet's NumPy interface, where shapes mean something else."""
    return isinstance(symbol, mx.sym.numpy._Symbol)


@contextlib.contextmanager
def interface(numpy: bool) -> Iterator[None]:
    """Turn MXNet's NumPy interface on or off for a block of code."""
    scopes = (mx.util.np_shape, mx.util.np_array)
    outer, inner = scopes if numpy else scopes[::-1]  # MXNet refuses arrays without shapes
    with outer(numpy), inner(numpy):
        yield


def _without_casts(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return ``symbol`` without the casts of AMP; ``Symbol.tojson`` would make the same one and never free it."""
    handle = mx.base.SymbolHandle()
    mx.base.check_call(mx.base._LIB.MXSymbolRemoveAmpCast(symbol.handle, ctypes.byref(handle)))
    return mx.sym.Symbol(handle)


@dataclass(eq=False)
class Node:
    """An operator, or a variable if the operator is "null"."""

    operator: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    inputs: list[Output] = field(default_factory=list)
    subgraphs: list[dict[str, Any]] = field(default_factory=list)  # of a fused operator, unparsed

    @property
    def is_variable(self) -> bool:
        """Whether the node is an input or a parameter."""
        return self.operator == "null"

    def get(self, attribute: str, default: object = None) -> Any:  # noqa: ANN401
        """Return the value of an attribute, which MXNet may omit if it has its default."""
        text = self.attributes.get(attribute)
        return default if text is None else attributes.value(text)

    def integers(self, attribute: str) -> tuple[int, ...]:
        """Return an attribute that is a tuple; MXNet omits it or leaves it empty if it has its default."""
        return attributes.integers(self.get(attribute)) or ()

    def pair(self, attribute: str, default: int) -> tuple[int, int]:
        """Return an attribute such as ``"(3, 3)"`` of a layer of images."""
        return self.integers(attribute) or (default, default)  # type: ignore[return-value]

    def is_set(self, attribute: str, default: bool = False) -> bool:
        """Return a Boolean attribute."""
        return bool(self.get(attribute, default))


Output = tuple[Node, int]  # a node and the number of one of its outputs


class Graph:
    """The nodes that ``heads``, the outputs, depend on."""

    def __init__(self, heads: list[Output], numpy: bool = False) -> None:
        self.heads = heads
        self.numpy = numpy  # whether it is one of MXNet's NumPy interface

    @classmethod
    def of(cls, symbol: mx.sym.Symbol, casts: bool = True) -> Graph:
        """Return the graph of ``symbol``; without ``casts``, those of AMP are omitted, as in MXNet's own exports."""
        kept = symbol if casts else _without_casts(symbol)
        try:
            raw = json.loads(kept.tojson(remove_amp_cast=False))
        except json.JSONDecodeError as error:  # MXNet does not escape control characters
            raise ZooError(f"a name or a setting in the network has a control character ({error.msg})") from None
        nodes: list[Node] = []
        for each in raw["nodes"]:
            inputs = [(nodes[index], output) for index, output, *_ in each["inputs"]]
            settings, subgraphs = dict(each.get("attrs", {})), each.get("subgraphs", [])
            nodes.append(Node(each["op"], each["name"], settings, inputs, subgraphs))
        return cls([(nodes[index], output) for index, output, *_ in raw["heads"]], is_numpy(symbol))

    def symbol(self) -> mx.sym.Symbol:
        """Convert the graph to an MXNet symbol."""
        nodes = list(self.nodes())
        number = {id(node): index for index, node in enumerate(nodes)}

        def entries(outputs: list[Output]) -> list[list[int]]:
            return [[number[id(node)], output, 0] for node, output in outputs]

        raw = {
            "nodes": [
                {
                    "op": node.operator,
                    "name": node.name,
                    "attrs": node.attributes,
                    "inputs": entries(node.inputs),
                    **({"subgraphs": node.subgraphs} if node.subgraphs else {}),
                }
                for node in nodes
            ],
            "arg_nodes": [index for index, node in enumerate(nodes) if node.is_variable],
            "heads": entries(self.heads),
            "attrs": {"mxnet_version": ["int", 10901], "is_np_shape": ["int", int(self.numpy)]},
        }
        symbol = mx.sym.load_json(json.dumps(raw, ensure_ascii=False))  # MXNet does not know \u
        return symbol.as_np_ndarray() if self.numpy else symbol

    def nodes(self) -> Iterator[Node]:
        """Yield every node after those it depends on."""
        done: set[int] = set()
        stack = [node for node, _ in reversed(self.heads)]
        while stack:
            waiting = [source for source, _ in stack[-1].inputs if id(source) not in done]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            node = stack.pop()
            if id(node) not in done:
                done.add(id(node))
                yield node

    def consumers(self) -> dict[int, list[Node]]:
        """Map ``id(node)`` to the nodes that take its outputs, once for each output taken."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes():
            for source, _ in node.inputs:
                found.setdefault(id(source), []).append(node)
        return found

    def replace(self, old: Node, new: Output) -> None:
        """Make everything that takes an output of ``old``, whichever it is, take ``new``."""
        for node in list(self.nodes()):
            node.inputs = [new if source is old else (source, output) for source, output in node.inputs]
        self.heads = [new if node is old else (node, output) for node, output in self.heads]

    def name_uniquely(self) -> None:
        """Number the operators that share a name."""
        taken = {node.name for node in self.nodes() if node.is_variable}
        for node in [node for node in self.nodes() if not node.is_variable]:
            name, number = node.name, 1
            while node.name in taken:
                number += 1
                node.name = f"{name}_{number}"
            taken.add(node.name)
