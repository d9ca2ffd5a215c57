"""Lower a network as its author wrote it to a graph that computes the same faster.

The graphs share the network's parameters, which stay in float32, so that training one trains the other. Saving and
exporting always use the network itself, with its plain Dropout and none of the changes made here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import BFLOAT16, FLOAT32, INT8, Execution
from zoo.graph.ir import INPUTS, Graph, is_numpy, symbol_of, variable
from zoo.graph.passes import casting, chains, convolutions, dropout, programs, training_programs
from zoo.graph.passes.decisions import Decision
from zoo.graph.shapes import Shape, infer, ranks
from zoo.runtime import mx


@dataclass(frozen=True)
class Lowered:
    """A graph after its passes, and their decisions."""

    symbol: mx.sym.Symbol
    decisions: tuple[Decision, ...] = ()  # later ones may concern operators that earlier ones made
    dtypes: dict[str, str] = field(default_factory=dict)  # by node; empty if all are float32


def for_training(
    net: mx.gluon.HybridBlock, execution: Execution, input_shape: Shape = INPUT_SHAPE
) -> mx.gluon.HybridBlock:
    """Return a block that trains the parameters of ``net``, or ``net`` itself if there is nothing to gain."""
    if not execution.kernels and execution.dtype == FLOAT32:
        return net
    return block(training(net, execution, input_shape).symbol, net)


def for_inference(
    net: mx.gluon.HybridBlock, execution: Execution, input_shape: Shape = INPUT_SHAPE
) -> mx.gluon.HybridBlock:
    """Return a block that predicts what ``net`` predicts now.

    oneDNN's operators keep the weights of their first call, so the block is valid for the current weights only.
    """
    if not execution.on_cpu and execution.dtype == FLOAT32:
        return net
    return block(inference(net, execution, input_shape).symbol, net)


def training(net: mx.gluon.HybridBlock, execution: Execution, input_shape: Shape = INPUT_SHAPE) -> Lowered:
    """Return the graph that trains ``net``, with this project's kernels on CPUs and with casts for 16-bit dtypes."""
    if execution.dtype == INT8:
        raise ZooError("int8 is for inference only")
    graph = Graph.of(symbol_of(net))
    decisions: list[Decision] = []
    if execution.kernels:
        if execution.dtype == FLOAT32:
            decisions += training_programs.form(graph, infer(graph, {"data": (1, *input_shape)}))
        dimensions = ranks(graph, input_shape)
        decisions += chains.fuse(graph, dimensions)
        decisions += dropout.lower(graph)
        if execution.amx and execution.dtype == BFLOAT16:
            decisions += convolutions.lower(graph, dimensions)
    return _cast(graph, execution, decisions)


def inference(
    net: mx.gluon.HybridBlock, execution: Execution, input_shape: Shape = INPUT_SHAPE, for_few: bool = False
) -> Lowered:
    """Return the graph for inference. On CPUs, programs compute float32, and the kernels for AMX bfloat16.

    ``for_few`` images at a time, programs are faster in bfloat16, too. In float32, oneDNN fuses what has no kernel.
    """
    graph = Graph.of(symbol_of(net))
    decisions = dropout.remove(graph)
    if execution.dtype == INT8:
        raise ZooError("int8 is quantized by MXNet: see zoo.graph.quantization")
    is_rounded = execution.amx and execution.dtype == BFLOAT16
    if execution.kernels and (execution.dtype == FLOAT32 or (is_rounded and for_few)):
        decisions += programs.form(graph, infer(graph, {"data": (1, *input_shape)}), execution.dtype)
    elif is_rounded:
        decisions += convolutions.lower(graph, ranks(graph, input_shape), for_inference=True)
        decisions += convolutions.join(graph)
    if execution.dtype == FLOAT32 and execution.on_cpu:
        symbol = graph.symbol().optimize_for("MKLDNN")
        return Lowered(symbol, (*decisions, *_fused_by_onednn(symbol)))
    return _cast(graph, execution, decisions)


def block(
    symbol: mx.sym.Symbol, net: mx.gluon.HybridBlock | None = None, inputs: Sequence[str] = INPUTS
) -> mx.gluon.SymbolBlock:
    """Return ``symbol`` as a block that is called with ``inputs``, with the parameters of ``net`` if given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gluon warns of inputs without a declared type
        parameters = net.collect_params() if net is not None else None
        variables = [variable(name, is_numpy(symbol)) for name in inputs]
        return mx.gluon.SymbolBlock(symbol, variables, params=parameters)


def _cast(graph: Graph, execution: Execution, decisions: list[Decision]) -> Lowered:
    dtypes = casting.cast(graph, execution.dtype) if execution.dtype != FLOAT32 else {}
    return Lowered(graph.symbol(), tuple(decisions), dtypes)


def _fused_by_onednn(symbol: mx.sym.Symbol) -> list[Decision]:
    """Read what MXNet's own passes fused, which they do not report, from the operators that they made."""
    decisions = []
    for node in Graph.of(symbol).nodes():
        inside = [each for subgraph in node.subgraphs for each in subgraph["nodes"]]
        layers = tuple(each["name"] for each in inside if each["op"] != "null")
        if layers:
            decisions.append(Decision(node.name, layers))
    return decisions
