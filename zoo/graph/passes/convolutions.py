"""Convolutions and fully connected layers in bfloat16 on AMX.

    Convolution -> [Activation]                                             becomes   zoo_convolution   (training)
    Convolution -> [Activation] -> [BatchNorm] -> [ReLU] -> [pooling 2 x 2]  becomes   zoo_convolution   (inference)
    zoo_convolution -> zoo_convolution -> ...                                becomes   zoo_network       (inference)

FullyConnected is a convolution of images of one pixel. At inference, BatchNorm is a multiplication and an addition per
channel, applied to the sums while they are in registers. Candidates are all convolutions and fully connected layers.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from zoo.graph.ir import Graph, Node
from zoo.graph.passes.decisions import Decision
from zoo.graph.passes.matching import SHARED, Matcher, activation, has_parameters, is_halving, nodes_of
from zoo.graph.passes.regions import Shapes


def lower(graph: Graph, ranks: dict[str, int], for_inference: bool = False) -> list[Decision]:
    """Replace all layers that the kernel can compute; ``ranks`` holds the number of dimensions by node."""
    dense = [_lower_dense(graph, node, ranks, for_inference) for node in nodes_of(graph, "FullyConnected")]
    return [*dense, *(_lower_convolution(graph, node, ranks, for_inference) for node in nodes_of(graph, "Convolution"))]


def share_of_use(graph: Graph, shapes: Shapes) -> float:
    """Return which part of the products that the kernels would compute for all layers is not of padding.

    They compute blocks of 32 channels, so a layer of few channels costs them as much as one of 32.
    """
    wanted = computed = 0
    for layer in (*nodes_of(graph, "Convolution"), *nodes_of(graph, "FullyConnected")):
        outputs, inputs, *kernel = shapes[layer.inputs[1][0].name][0]
        taps, pixels = prod(kernel), prod(shapes[layer.name][0][2:])
        is_unfolded = taps > 1 and inputs < 16  # its taps lie side by side, see zoo/kernels/layout.h
        depth = _padded(inputs * taps) if is_unfolded else taps * _padded(inputs)
        wanted += pixels * outputs * inputs * taps
        computed += pixels * _padded(outputs) * depth
    return wanted / computed if computed else 0.0


def _padded(channels: int) -> int:
    return -(-channels // 32) * 32


def join(graph: Graph) -> list[Decision]:
    """Join each run of ``zoo_convolution``, with what was fused into them for inference, into one ``zoo_network``."""
    decisions = []
    for last in nodes_of(graph, "zoo_convolution"):
        matcher = Matcher(graph)
        following = matcher.next(last)
        if following is not None and following.operator == "zoo_convolution":
            continue
        run = [last]
        while run[0].inputs[0][0].operator == "zoo_convolution" and not matcher.is_shared(run[0].inputs[0][0]):
            run.insert(0, run[0].inputs[0][0])
        attributes = {"layers": str(len(run))}
        inputs = run[0].inputs[:1]
        for number, layer in enumerate(run):
            attributes.update({f"{name}_{number}": value for name, value in layer.attributes.items()})
            inputs += layer.inputs[1:]
        graph.replace(last, (Node("zoo_network", last.name, attributes, inputs), 0))
        decisions.append(Decision(last.name, tuple(layer.name for layer in run)))
    return decisions


def _lower_dense(graph: Graph, dense: Node, ranks: dict[str, int], for_inference: bool) -> Decision:
    if not dense.is_set("flatten", True) and ranks[dense.inputs[0][0].name] != 2:
        return Decision(dense.name, (dense.name,), "it does not flatten its input")
    matcher = Matcher(graph)
    if matcher.adds_gradients(dense.inputs[0]):
        return Decision(dense.name, (dense.name,), SHARED)
    flattened: list[str] = []
    while dense.inputs[0][0].operator == "Flatten":  # the kernel flattens its input itself
        flatten = dense.inputs[0][0]
        if not matcher.is_shared(flatten):
            flattened.insert(0, flatten.name)
        dense.inputs[0] = flatten.inputs[0]
    attributes = {"flat": "True", "num_filter": str(dense.get("num_hidden"))}
    lowered = _lower(graph, dense, attributes, for_inference)
    return replace(lowered, layers=(*flattened, *lowered.layers))


def _lower_convolution(graph: Graph, conv: Node, ranks: dict[str, int], for_inference: bool) -> Decision:
    obstacle = _obstacle(conv, ranks)
    if obstacle or Matcher(graph).adds_gradients(conv.inputs[0]):
        return Decision(conv.name, (conv.name,), obstacle or SHARED)
    attributes = {
        "kernel": str(conv.pair("kernel", 1)),
        "pad": str(conv.pair("pad", 0)),
        "num_filter": str(conv.get("num_filter")),
    }
    return _lower(graph, conv, attributes, for_inference)


def _obstacle(conv: Node, ranks: dict[str, int]) -> str:
    kernel, pad = conv.pair("kernel", 1), conv.pair("pad", 0)
    if ranks[conv.name] != 4:
        return "it is not a convolution of images"
    if (conv.pair("stride", 1), conv.pair("dilate", 1)) != ((1, 1), (1, 1)):
        return "it has strides or is dilated"
    if conv.get("num_group", 1) != 1:
        return f"it has {conv.get('num_group')} groups"
    if any(p >= k for p, k in zip(pad, kernel)):
        return f"its padding {pad} is not smaller than its kernel {kernel}"
    return ""


def _lower(graph: Graph, layer: Node, attributes: dict[str, str], for_inference: bool) -> Decision:
    """Replace ``layer`` and the operators after it that can be fused with it."""
    matcher = Matcher(graph)
    inputs, layers = list(layer.inputs), [layer]
    attributes["no_bias"] = str(layer.is_set("no_bias"))
    attributes["first"] = str(not has_parameters(layer.inputs[0]))
    following = matcher.next(layer)
    kind = activation(following)
    if following is not None and kind:
        attributes["activation"] = kind
        layers.append(following)
        following = matcher.next(following)
    if for_inference:
        if following is not None and following.operator == "BatchNorm" and following.get("axis", 1) == 1:
            attributes["norm"] = "True"
            attributes["epsilon"] = str(following.get("eps", 0.001))
            attributes["fix_gamma"] = str(following.is_set("fix_gamma", True))
            inputs += following.inputs[1:]
            layers.append(following)
            following = matcher.next(following)
        if following is not None and activation(following) == "relu":
            attributes["relu"] = "True"
            layers.append(following)
            following = matcher.next(following)
        if following is not None and is_halving(following):
            attributes["pool"] = "True"
            layers.append(following)
    graph.replace(layers[-1], (Node("zoo_convolution", layer.name, attributes, inputs), 0))
    return Decision(layer.name, tuple(each.name for each in layers))
