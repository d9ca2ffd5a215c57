"""Networks in 8-bit integers, by MXNet's own quantization: for inference on CPUs."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.graph.ir import Graph, Node, symbol_of
from zoo.graph.lowering import block
from zoo.graph.passes import dropout
from zoo.runtime import mx


def quantize(net: mx.gluon.HybridBlock, calibration: np.ndarray, scale: float = 1 / 255) -> mx.gluon.SymbolBlock:
    """A block that predicts in int8 what ``net`` predicts now; later changes of the weights do not reach it.

    ``calibration`` are uint8 images ``(n, 28, 28)`` that the network was not trained on: the largest values they
    produce, with pixels multiplied by ``scale``, fix the ranges of the integers. Raises :class:`ZooError` where
    MXNet cannot quantize the network.
    """
    from mxnet.contrib import quantization

    graph = Graph.of(symbol_of(net))
    dropout.remove(graph)
    for node in list(graph.nodes()):
        # Fused into an int8 convolution, MXNet 1.9.1 scales before it takes the tanh, and all digits become one.
        if node.operator == "Activation" and node.attributes.get("act_type") != "relu":
            node.inputs = [(Node("_plus_scalar", f"{node.name}_input", {"scalar": "0.0"}, node.inputs), 0)]
    symbol = graph.symbol()
    values, states = _copies(net, symbol.list_arguments()), _copies(net, symbol.list_auxiliary_states())
    pixels = calibration[:, None].astype(np.float32) * np.float32(scale)
    try:
        with _quiet():
            quantized, arguments, states = quantization.quantize_model(
                symbol.optimize_for("MKLDNN"),
                values,
                states,
                label_names=None,
                ctx=mx.cpu(),
                calib_mode="naive",
                calib_data=mx.io.NDArrayIter(pixels, batch_size=min(200, len(pixels))),
                num_calib_examples=len(pixels),
                quantized_dtype="auto",
                quantize_mode="full",
                logger=None,
            )
            if not is_exact():
                quantized, arguments = _in_seven_bits(quantized, arguments)
            result = block(quantized.optimize_for("MKLDNN_QUANTIZE"))
    except mx.base.MXNetError as error:
        raise ZooError(f"MXNet cannot quantize this network: {str(error).splitlines()[-1]}") from None
    for name, parameter in result.collect_params().items():
        value = arguments.get(name, states.get(name))
        parameter.shape = value.shape
        parameter._load_init(value, mx.cpu(), cast_dtype=True, dtype_source="saved")
    return result


def _copies(net: mx.gluon.HybridBlock, names: Sequence[str]) -> dict[str, mx.nd.NDArray]:
    """The parameters ``names`` of ``net``; MXNet fails on its own arrays, which are in oneDNN's layouts."""
    mx.nd.waitall()  # a forward pass in flight changes the layouts behind the back of whoever reads
    parameters = net.collect_params()
    arrays = {name: parameters[name].list_data()[0].asnumpy() for name in names if name in parameters}
    return {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}


@functools.cache
def is_exact() -> bool:
    """Whether oneDNN adds products of 8-bit integers in 32 bits here, as it does with VNNI.

    Without it, it adds pairs of them in 16 bits, where two of 255 * 127 saturate.
    """
    data, weight = mx.nd.full((1, 64), 255, dtype="uint8"), mx.nd.full((1, 64), 127, dtype="int8")
    low, zero, one = mx.nd.array([-1]), mx.nd.array([0]), mx.nd.array([1])
    total, *_ = mx.nd.contrib.quantized_fully_connected(
        data, weight, min_data=zero, max_data=one, min_weight=low, max_weight=one, no_bias=True, num_hidden=1
    )
    return int(total.asnumpy().item()) == 64 * 255 * 127


def _in_seven_bits(
    symbol: mx.sym.Symbol, arguments: dict[str, mx.nd.NDArray]
) -> tuple[mx.sym.Symbol, dict[str, mx.nd.NDArray]]:
    """The same network with one bit fewer in one factor of each product, so that no pair of products saturates.

    That is the data where they are unsigned. Signed data oneDNN makes unsigned by adding 128, so that the weights lose
    the bit: those of fully connected layers here, and those of convolutions in oneDNN itself.
    """
    graph, halved = Graph.of(symbol), dict(arguments)
    for node in graph.nodes():
        if float(node.attributes.get("min_calib_range", -1)) >= 0:
            node.attributes["max_calib_range"] = str(2 * float(node.attributes["max_calib_range"]))
        if node.operator.endswith("fully_connected") and not _takes_unsigned(node):
            weight = node.inputs[1][0].name
            halved[weight] = (arguments[weight].astype("float32") / 2).round().astype("int8")
            for end in (f"{weight}_min", f"{weight}_max"):
                halved[end] = 2 * arguments[end]
    return graph.symbol(), halved


def _takes_unsigned(node: Node) -> bool:
    """Whether the data of ``node`` are certainly integers from 0 on: quantized from numbers of which none is negative.

    What other layers put out may be signed whatever its range is: MXNet decides that when it fuses them.
    """
    source = node.inputs[0][0]
    while "min_calib_range" not in source.attributes and source.inputs:  # pooling and the like keep the range
        source = source.inputs[0][0]
    return source.operator == "_contrib_quantize_v2" and float(source.attributes.get("min_calib_range", -1)) >= 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MXNet reports every step of it on stderr, from C++."""
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
