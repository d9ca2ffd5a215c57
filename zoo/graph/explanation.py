"""Explain what computes a network here, layer by layer, and why some layers were left unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo import kernels
from zoo.graph import lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import BFLOAT16, Execution
from zoo.graph.ir import Graph
from zoo.graph.passes.decisions import Decision
from zoo.graph.shapes import Shape
from zoo.runtime import STATUS, mx

_LAYERS = "convolutions and fully connected layers are oneDNN's"


@dataclass(frozen=True)
class Operation:
    """An operator that runs, and the layers of the network that it computes."""

    layers: tuple[str, ...]
    operator: str  # MXNet's name, or this project's, which begins with zoo_; empty if none is needed
    dtype: str
    reason: str  # why a pass left the layer unchanged; empty if it was replaced or no pass handles it


@dataclass(frozen=True)
class Explanation:
    """The operations in execution order, and remarks that apply to all of them."""

    rows: tuple[Operation, ...]
    remarks: tuple[str, ...]


def explain(
    net: mx.gluon.HybridBlock, execution: Execution, phase: str, input_shape: Shape = INPUT_SHAPE
) -> Explanation:
    """Explain what computes ``net`` in ``phase``, "train" or "infer", for images of ``input_shape``.

    Raises :class:`ZooError` for int8, which MXNet lowers itself.
    """
    lowered = (lowering.training if phase == "train" else lowering.inference)(net, execution, input_shape)
    remarks = tuple(_remarks(execution))
    return Explanation(tuple(_rows(lowered, execution)), remarks)


def _rows(lowered: lowering.Lowered, execution: Execution) -> Iterator[Operation]:
    done = {each.node: each for each in lowered.decisions if each.is_done}
    left = {each.node: each.reason for each in lowered.decisions if not each.is_done}
    running = [node for node in Graph.of(lowered.symbol).nodes() if not node.is_variable]
    names = {node.name for node in running}
    for node in running:
        if node.operator == "amp_cast":
            continue
        layers = _layers(done[node.name], lowered.decisions) if node.name in done else (node.name,)
        # zoo_network takes and returns float32, and computes in the requested dtype.
        computed_in = execution.dtype if node.operator == "zoo_network" else lowered.dtypes.get(node.name, "float32")
        reasons = dict.fromkeys(left[each] for each in (node.name, *layers) if each in left)
        yield Operation(layers, node.operator, computed_in, "; ".join(reasons))
    inside = {layer for each in lowered.decisions for layer in each.layers if each.node != layer}
    for each in lowered.decisions:
        if each.is_done and each.node not in names | inside:  # Dropout at inference
            yield Operation(each.layers, "", "", "")


def _layers(last: Decision, decisions: tuple[Decision, ...]) -> tuple[str, ...]:
    """Return the network's own layers behind ``last``, which may have replaced operators of earlier decisions."""
    earlier = {each.node: each for each in decisions[: decisions.index(last)] if each.is_done}
    return tuple(
        name for layer in last.layers for name in (_layers(earlier[layer], decisions) if layer in earlier else (layer,))
    )


def _remarks(execution: Execution) -> Iterator[str]:
    if not execution.on_cpu:
        yield "on GPUs, MXNet's own operators (cuDNN's) compute everything"
    elif not execution.kernels:
        yield f"no kernels of this project: {kernels.available().reason}"
    elif execution.dtype == BFLOAT16 and not execution.amx:
        yield f"{_LAYERS}: this project's kernels for bfloat16 need AMX ({STATUS.amx_reason})"
