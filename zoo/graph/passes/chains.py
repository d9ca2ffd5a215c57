"""BatchNorm and the operators around it, in one pass over memory.

    [Activation] -> [Dropout] -> BatchNorm -> [ReLU] -> [max pooling 2 x 2]   becomes   zoo_chain

for images, forward and backward. Activation is tanh or ReLU. The algebra is unchanged: the operators are applied one
after the other to every element while it is in a register. Candidates are the BatchNorms.
"""

from __future__ import annotations

from zoo.graph.ir import Graph, Node
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import SHARED, Matcher, activation, is_halving, is_plain_dropout, nodes_of


def fuse(graph: Graph, ranks: dict[str, int]) -> list[Decision]:
    """Replace all chains of ``graph``; ``ranks`` holds the number of dimensions by node."""
    return [_fuse(graph, norm, ranks) for norm in nodes_of(graph, "BatchNorm")]


def _fuse(graph: Graph, norm: Node, ranks: dict[str, int]) -> Decision:
    matcher = Matcher(graph)
    attributes = {
        "epsilon": str(norm.get("eps", 0.001)),
        "momentum": str(norm.get("momentum", 0.9)),
        "fix_gamma": str(norm.is_set("fix_gamma", True)),
    }
    layers = [norm.name]
    source, output = norm.inputs[0]
    if is_plain_dropout(source) and not matcher.is_shared(source):
        attributes["dropout"] = str(source.get("p", 0.5))
        layers.insert(0, source.name)
        source, output = source.inputs[0]
    kind = activation(source)
    if kind and not matcher.is_shared(source):
        attributes["activation"] = kind
        layers.insert(0, source.name)
        source, output = source.inputs[0]
    obstacle = _obstacle(norm, ranks) or (SHARED if matcher.is_shared(source) else "")
    if obstacle:
        return Decision(norm.name, (norm.name,), obstacle)
    last = norm
    following = matcher.next(last)
    if following is not None and activation(following) == "relu":
        attributes["relu"] = "True"
        last, following = following, matcher.next(following)
        layers.append(last.name)
    if following is not None and is_halving(following):
        attributes["pool"] = "True"
        last = following
        layers.append(last.name)
    graph.replace(last, (Node("zoo_chain", norm.name, attributes, [(source, output), *norm.inputs[1:]]), 0))
    return Decision(norm.name, tuple(layers))


def _obstacle(norm: Node, ranks: dict[str, int]) -> str:
    if ranks[norm.name] != 4:
        return "it normalizes vectors, but the kernel supports only images"
    if norm.get("axis", 1) != 1:
        return f"it normalizes axis {norm.get('axis')}, but the kernel supports only channels (axis 1)"
    if norm.is_set("use_global_stats"):
        return "it normalizes by its running statistics in training, too"
    return ""
