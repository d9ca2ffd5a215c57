"""Mixed precision: which operators compute in 16 bits, and the conversions around them.

    Convolution, FullyConnected   take and return 16 bits, with their parameters converted in every pass
    Activation, Pooling, ...      compute in the dtype of their input
    everything else               stays in float32: normalization, the outputs, operators that are not named here

Conversions are ``amp_cast``. They never follow one another, and a value that several operators need is converted once.
"""

from __future__ import annotations

from zoo.graph.ir import Graph, Node, Output

LAYERS = {"Convolution", "FullyConnected"}  # faster in 16 bits whatever surrounds them
_FOLLOW_INPUT = {"Activation", "Flatten", "Pooling", "zoo_chain", "zoo_dropout", "zoo_network"}
_FOLLOW_INPUT_IN = {"float16": _FOLLOW_INPUT | {"Dropout"}}  # MXNet's own Dropout does not support bfloat16
_FLOAT32 = "float32"


def cast(graph: Graph, low: str) -> dict[str, str]:
    """Insert conversions to and from ``low``, "bfloat16" or "float16"; returns the dtype of every node."""
    follow_input = _FOLLOW_INPUT_IN.get(low, _FOLLOW_INPUT)
    dtypes: dict[int, str] = {}
    casts: dict[tuple[int, int, str], Output] = {}

    def to(output: Output, dtype: str) -> Output:
        node, number = output
        if dtypes[id(node)] == dtype:
            return output
        key = (id(node), number, dtype)
        if key not in casts:
            conversion = Node("amp_cast", f"{node.name}_{number}_{dtype}", {"dtype": dtype}, [output])
            dtypes[id(conversion)] = dtype
            casts[key] = (conversion, 0)
        return casts[key]

    for node in list(graph.nodes()):
        if node.is_variable:
            dtypes[id(node)] = _FLOAT32
        elif node.operator in LAYERS:
            node.inputs = [to(each, low) for each in node.inputs]
            dtypes[id(node)] = low
        elif node.operator == "zoo_convolution":  # takes its weights in float32
            node.inputs[0] = to(node.inputs[0], low)
            dtypes[id(node)] = low
        elif node.operator in follow_input:
            dtypes[id(node)] = dtypes[id(node.inputs[0][0])]
        else:
            node.inputs = [to(each, _FLOAT32) for each in node.inputs]
            dtypes[id(node)] = _FLOAT32
    graph.heads = [to(head, _FLOAT32) for head in graph.heads]
    return {node.name: dtypes[id(node)] for node in graph.nodes()}
