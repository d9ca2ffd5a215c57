"""The ends of an ONNX graph: the names of its outputs, a softmax after them, and pixels from 0 to 255 as its input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.inference import INPUT
from export.onnx.graph import OnnxGraph, Tensor
from export.onnx.translation import Translation
from zoo.errors import ZooError
from zoo.graph import heads
from zoo.graph.ir import Graph

_NO_SOFTMAX = "softmax is for networks with one output of two dimensions"
_SIGMOIDS = ("_npx_sigmoid", "sigmoid")


def wants_softmax(source: Graph, softmax: bool) -> bool:
    """Whether a softmax is to be added; a network that ends in one needs none, and over a sigmoid it is refused."""
    if not softmax or heads.are_probabilities(source):
        return False
    origin = heads.origin(source.heads[0])
    if origin.operator in _SIGMOIDS or (origin.operator, origin.get("act_type")) == ("Activation", "sigmoid"):
        raise ZooError("the network ends in a sigmoid, over which no softmax belongs: its outputs are probabilities")
    return True


def names_of(source: Graph, taken: set[str], softmax: bool, outputs: Sequence[str] | None) -> list[str]:
    """Return the names of the outputs: those given, "probabilities" or "output", or empty if several keep theirs."""
    count = len(source.heads)
    if softmax and count != 1:
        raise ZooError(_NO_SOFTMAX)
    if outputs is None:
        return [] if count > 1 else ["probabilities" if softmax else "output"]
    names = [each for each in outputs if isinstance(each, str) and each] if isinstance(outputs, (list, tuple)) else []
    if len(names) != count or len({*names}) < count:
        raise ZooError(f"the network has {count} outputs, which need as many different names, not {str(outputs)[:60]}")
    if taken & {*names}:
        raise ZooError(f"{min(taken & {*names})} is the name of an input or a weight, and cannot be that of an output")
    return names


def finish(translation: Translation, add_softmax: bool, names: list[str]) -> list[Tensor]:
    """Give the outputs their ``names``, or keep those they have, after a softmax if requested; returns them."""
    graph, outputs = translation.graph, translation.outputs
    if add_softmax:
        if outputs[0].rank != 2:
            raise ZooError(_NO_SOFTMAX)
        graph.add("Softmax", outputs, names, axis=-1)
        return [Tensor(names[0], outputs[0].shape, outputs[0].dtype)]
    produced = {name for operation in graph.operations for name in operation.outputs}
    found: list[Tensor] = []
    done: dict[str, str] = {}  # tensors that are outputs already, with their names as such
    for number, tensor in enumerate(outputs):
        name = names[number] if names else tensor.name
        if tensor.name in done or tensor.name not in produced:  # the same output twice, or the data themselves
            name = name if names else graph.unique(f"{tensor.name}_output")
            graph.add("Identity", [done.get(tensor.name, tensor)], [name])
        else:
            graph.rename(tensor.name, name)
            done[tensor.name] = name
        found.append(Tensor(name, tensor.shape, tensor.dtype))
    return found


def scale(graph: OnnxGraph) -> None:
    """Take pixels from 0 to 255, and divide them by 255 before everything else."""
    pixels, scaled = graph.unique("pixels"), graph.unique("scaled")
    for operation in graph.operations:
        operation.inputs = [scaled if name == INPUT else name for name in operation.inputs]
    count = len(graph.operations)
    graph.add("Cast", [INPUT], [pixels], to=np.dtype(np.float32))
    scale = graph.constant("scale", np.array(1 / 255, np.float32))  # a factor, as in training, for the same bits
    graph.add("Mul", [pixels, scale], [scaled])
    graph.operations = graph.operations[count:] + graph.operations[:count]
