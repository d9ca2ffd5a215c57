"""Mixed precision: which of a graph's operators compute in 16 bits, and the conversions around them."""

from __future__ import annotations

from zoo.graph.ir import Graph, Node, Output

LAYERS = {"Convolution", "FullyConnected"}  # faster in 16 bits whatever surrounds them
_EITHER = {"Activation", "Flatten", "Pooling", "zoo_chain", "zoo_dropout", "zoo_network"}  # as their input comes
_EITHER_IN = {"float16": _EITHER | {"Dropout"}}  # MXNet's own Dropout has no bfloat16
_FLOAT32 = "float32"


def cast(graph: Graph, low: str) -> None:
    """Put conversions where ``low``, "bfloat16" or "float16", begins and ends.

    Convolutions and fully connected layers compute in it, with their parameters converted in every pass.
    Normalization, the outputs, and every operator that is not named above stay in float32.
    """
    either = _EITHER_IN.get(low, _EITHER)
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
        elif node.operator == "zoo_convolution":  # takes its weights as they are
            node.inputs[0] = to(node.inputs[0], low)
            dtypes[id(node)] = low
        elif node.operator in either:
            dtypes[id(node)] = dtypes[id(node.inputs[0][0])]
        else:
            node.inputs = [to(each, _FLOAT32) for each in node.inputs]
            dtypes[id(node)] = _FLOAT32
    graph.heads = [to(head, _FLOAT32) for head in graph.heads]
