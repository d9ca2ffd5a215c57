"""The graphs of whole steps, from indices into a resident data set to its loss or its logits.

On CPUs, what surrounds the network is done by this project's kernels: MXNet's own operators for it take longer than a
small network.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo import kernels
from zoo.runtime import mx
from zoo.symbols import Graph, Node

IMAGES, LABELS, INDEX = "images", "labels", "index"  # the inputs: uint8, uint8, int32


def prediction(net: mx.gluon.HybridBlock, contexts: Sequence[mx.Context], scale: float) -> mx.sym.Symbol:
    """The logits of the images at the index, whose pixels are multiplied by ``scale``."""
    if not _on_kernels(contexts):
        return net(_pixels(mx.sym.var(INDEX), scale))
    graph = Graph.of(net(mx.sym.var("data")))
    _read_pixels(graph, scale)
    return graph.symbol()


def training(net: mx.gluon.HybridBlock, contexts: Sequence[mx.Context], scale: float) -> mx.sym.Symbol:
    """Two outputs: the sum of the cross-entropy, and that again beside the number of right digits, for the eye."""
    if not _on_kernels(contexts):
        index = mx.sym.var(INDEX)
        truth = mx.sym.cast(mx.sym.take(mx.sym.var(LABELS), index), dtype="float32")
        logits = net(_pixels(index, scale))
        loss = mx.sym.sum(mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, truth))
        correct = mx.sym.sum(mx.sym.broadcast_equal(mx.sym.argmax(logits, axis=1), truth))
        return mx.sym.Group([loss, mx.sym.concat(loss, correct, dim=0)])
    graph = Graph.of(net(mx.sym.var("data")))
    _read_pixels(graph, scale)
    (logits,) = graph.heads
    if _narrows(logits[0], "float32"):  # it takes bfloat16 as it is
        logits = logits[0].inputs[0]
    if graph.consumers().get(id(logits[0])):  # MXNet would add up gradients in place, which extensions cannot
        logits = (Node("_copy", "logits", inputs=[logits]), 0)
    labels, index = (_variable(graph, name) for name in (LABELS, INDEX))
    entropy = Node("zoo_cross_entropy", "cross_entropy", inputs=[logits, (labels, 0), (index, 0)])
    graph.heads = [(entropy, 0), (entropy, 1)]
    return graph.symbol()


def _on_kernels(contexts: Sequence[mx.Context]) -> bool:
    return all(context.device_type == "cpu" for context in contexts) and kernels.available().usable


def _pixels(index: mx.sym.Symbol, scale: float) -> mx.sym.Symbol:
    return mx.sym.cast(mx.sym.take(mx.sym.var(IMAGES), index), dtype="float32") * scale


def _read_pixels(graph: Graph, scale: float) -> None:
    """Put the images at the index in the place of the input, in bfloat16 if that is all that is made of it."""
    data = _variable(graph, "data")
    inputs = [(_variable(graph, name), 0) for name in (IMAGES, INDEX)]
    pixels = Node("zoo_pixels", "pixels", {"scale": repr(scale)}, inputs)
    readers = graph.consumers()[id(data)]
    if all(_narrows(reader, "bfloat16") for reader in readers):
        pixels.attributes["bfloat16"] = "True"
        for cast in readers:
            graph.replace(cast, (pixels, 0))
    else:
        graph.replace(data, (pixels, 0))


def _narrows(node: Node, dtype: str) -> bool:
    return node.operator == "amp_cast" and node.attributes["dtype"] == dtype


def _variable(graph: Graph, name: str) -> Node:
    """The variable of that name, a new one where there is none."""
    return next((node for node in graph.nodes() if node.is_variable and node.name == name), Node("null", name))
