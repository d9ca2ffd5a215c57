"""The graphs of whole steps, from indices into a resident data set to the loss or the logits.

On CPUs, this project's kernels compute what surrounds the network, because MXNet's own operators for that take longer
than a small network.
"""

from __future__ import annotations

from collections.abc import Sequence

from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import Execution
from zoo.graph.ir import Graph, Node
from zoo.recipes.augmentation import CONTROL_POINTS
from zoo.runtime import mx

# Names of the inputs: images and labels (uint8), indices into them (int32) and, for augmentation, the control points of
# each image and the spline basis (float32), see zoo.recipes.augmentation.
IMAGES, LABELS, INDEX, POINTS, BASIS = "images", "labels", "index", "points", "basis"
SETTINGS, VELOCITY = "settings", "velocity of "  # of a whole step: see update.Settings, and the momentum of a parameter


def prediction(net: mx.gluon.HybridBlock, execution: Execution, scale: float) -> mx.sym.Symbol:
    """Return the logits of the images at the index, with pixels multiplied by ``scale``."""
    if not execution.kernels:
        return net(_pixels(mx.sym.var(INDEX), scale))
    graph = Graph.of(net(mx.sym.var("data")))
    _read_pixels(graph, scale)
    return graph.symbol()


def training(
    net: mx.gluon.HybridBlock, execution: Execution, scale: float, smoothing: float = 0, deform: bool = False
) -> mx.sym.Symbol:
    """Return two outputs: the summed cross-entropy, and an array of that and the number of correct digits, to report.

    ``smoothing`` is the share of every label that is spread over all classes; ``deform`` augments the images.
    """
    if not execution.kernels:
        index = mx.sym.var(INDEX)
        truth = mx.sym.cast(mx.sym.take(mx.sym.var(LABELS), index), dtype="float32")
        pixels = _pixels(index, scale)
        logits = net(_deformed(pixels) if deform else pixels)
        log_likelihood = mx.sym.log_softmax(logits)
        right = mx.sym.sum(mx.sym.pick(log_likelihood, truth, axis=1))
        loss = -(1 - smoothing) * right - smoothing * mx.sym.sum(mx.sym.mean(log_likelihood, axis=1))
        correct = mx.sym.sum(mx.sym.broadcast_equal(mx.sym.argmax(logits, axis=1), truth))
        return mx.sym.Group([loss, mx.sym.concat(loss, correct, dim=0)])
    graph = Graph.of(net(mx.sym.var("data")))
    _read_pixels(graph, scale, deform)
    (logits,) = graph.heads
    if _narrows(logits[0], "float32"):  # the kernel takes bfloat16 directly
        logits = logits[0].inputs[0]
    if graph.consumers().get(id(logits[0])):  # MXNet would sum gradients in place, which extensions cannot
        logits = (Node("_copy", "logits", inputs=[logits]), 0)
    inputs = [logits, *((_variable(graph, name), 0) for name in (LABELS, INDEX))]
    entropy = Node("zoo_cross_entropy", "cross_entropy", {"smoothing": repr(smoothing)}, inputs)
    graph.heads = [(entropy, 0), (entropy, 1)]
    return graph.symbol()


def whole(step: mx.sym.Symbol, trained: Sequence[str], momentum: bool, nesterov: bool) -> mx.sym.Symbol | None:
    """Return a training ``step`` and the update of SGD as one operator that returns loss and correct digits.

    None if this project's kernels do not compute the whole network, or do not train just the parameters in ``trained``.
    """
    graph = Graph.of(step)
    operators = [node for node in graph.nodes() if not node.is_variable]
    if [node.operator for node in operators] != ["zoo_pixels", "zoo_training", "zoo_cross_entropy"]:
        return None
    pixels, network, entropy = operators
    parameters = network.inputs[1:]
    numbers = [number for number, (each, _) in enumerate(parameters) if each.name in trained]
    if len(numbers) != len(trained):
        return None
    attributes = {**network.attributes, **pixels.attributes, **entropy.attributes}
    attributes |= {"momentum": str(momentum), "nesterov": str(nesterov), "trained": " ".join(map(str, numbers))}
    (images, index, *deformation), labels = pixels.inputs, entropy.inputs[1]
    names = [VELOCITY + parameters[number][0].name for number in numbers] * momentum
    added = [(Node("null", name), 0) for name in (*names, SETTINGS)]
    inputs = [images, labels, index, *deformation, *parameters, *added]
    return Graph([(Node("zoo_whole_step", "step", attributes, inputs), 0)]).symbol()


def _pixels(index: mx.sym.Symbol, scale: float) -> mx.sym.Symbol:
    return mx.sym.cast(mx.sym.take(mx.sym.var(IMAGES), index), dtype="float32") * scale


def _deformed(pixels: mx.sym.Symbol) -> mx.sym.Symbol:
    """Deform as the kernel zoo_pixels does, with MXNet's operators."""
    size = INPUT_SHAPE[-1]
    points = mx.sym.reshape(mx.sym.var(POINTS), (-1, 2, CONTROL_POINTS, CONTROL_POINTS))
    basis = mx.sym.var(BASIS)
    for _ in range(2):  # along x, and then along y
        points = mx.sym.swapaxes(mx.sym.dot(points, basis), 2, 3)
    return mx.sym.BilinearSampler(pixels, points * (2 / (size - 1)) - 1)


def _read_pixels(graph: Graph, scale: float, deform: bool = False) -> None:
    """Replace the input with the images at the index, in bfloat16 if every reader casts to that."""
    data = _variable(graph, "data")
    names = (IMAGES, INDEX, POINTS, BASIS) if deform else (IMAGES, INDEX)
    inputs = [(_variable(graph, name), 0) for name in names]
    pixels = Node("zoo_pixels", "pixels", {"scale": repr(scale), "deform": str(deform)}, inputs)
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
    """Return the variable of that name, a new one if there is none."""
    return next((node for node in graph.nodes() if node.is_variable and node.name == name), Node("null", name))
