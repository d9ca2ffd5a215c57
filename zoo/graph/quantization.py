"""Networks in 8-bit integers for inference on CPUs, by MXNet's own quantization."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ZooError
from zoo.graph.ir import Graph, Node, symbol_of
from zoo.graph.lowering import block
from zoo.graph.passes import dropout
from zoo.runtime import mx


def quantize(net: mx.gluon.HybridBlock, calibration: np.ndarray, scale: float = 1 / 255) -> mx.gluon.SymbolBlock:
    """Return a block that predicts in int8 what ``net`` predicts now; later weight changes do not affect it.

    ``calibration`` holds uint8 images ``(n, 28, 28)`` that the network was not trained on: the largest values they
    produce, with pixels multiplied by ``scale``, set the ranges of the integers. Raises :class:`ZooError` if MXNet
    cannot quantize the network.
    """
    from mxnet.contrib import quantization

    graph = Graph.of(symbol_of(net))
    dropout.remove(graph)
    for node in list(graph.nodes()):
        # Keep tanh out of int8 convolutions: fused, MXNet 1.9.1 scales before the tanh, and predicts one digit for all.
        if node.operator == "Activation" and node.get("act_type") != "relu":
            node.inputs = [(Node("_plus_scalar", f"{node.name}_input", {"scalar": "0.0"}, node.inputs), 0)]
    symbol = graph.symbol()
    values, states = _copies(net, symbol.list_arguments()), _copies(net, symbol.list_auxiliary_states())
    pixels = calibration[:, None].astype(np.float32) * np.float32(scale)
    try:
        with _quiet(), _freeing_outputs(quantization._LayerOutputMinMaxCollector):
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
    """Copy the parameters ``names`` of ``net``; MXNet fails on the originals, which are in oneDNN's layouts."""
    mx.nd.waitall()  # a forward pass in flight may change layouts during the read
    parameters = net.collect_params()
    arrays = {name: parameters[name].list_data()[0].asnumpy() for name in names if name in parameters}
    return {name: mx.nd.array(array, dtype=array.dtype) for name, array in arrays.items()}


@functools.cache
def is_exact() -> bool:
    """Whether oneDNN adds products of 8-bit integers in 32 bits here, as it does with VNNI.

    Without VNNI, oneDNN adds pairs of products in 16 bits, where two of 255 * 127 saturate.
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
    """Remove one bit from one factor of each product, so that no pair of products saturates.

    Unsigned data lose the bit themselves. oneDNN makes signed data unsigned by adding 128, so there the weights lose
    it: those of fully connected layers here, and those of convolutions in oneDNN itself.
    """
    graph, halved = Graph.of(symbol), dict(arguments)
    for node in graph.nodes():
        if node.get("min_calib_range", -1) >= 0:
            node.attributes["max_calib_range"] = str(2 * node.get("max_calib_range"))
        if node.operator.endswith("fully_connected") and not _takes_unsigned(node):
            weight = node.inputs[1][0].name
            halved[weight] = (arguments[weight].astype("float32") / 2).round().astype("int8")
            for end in (f"{weight}_min", f"{weight}_max"):
                halved[end] = 2 * arguments[end]
    return graph.symbol(), halved


def _takes_unsigned(node: Node) -> bool:
    """Whether the data of ``node`` are certainly unsigned, because they were quantized from non-negative numbers.

    The outputs of other layers may be signed whatever their range: MXNet decides that when it fuses them.
    """
    source = node.inputs[0][0]
    while "min_calib_range" not in source.attributes and source.inputs:  # pooling and the like keep the range
        source = source.inputs[0][0]
    return source.operator == "_contrib_quantize_v2" and source.get("min_calib_range", -1) >= 0


@contextlib.contextmanager
def _freeing_outputs(collector: type[Any]) -> Iterator[None]:
    """Free the outputs of layers that MXNet's collector of ranges is given and ignores, megabytes for each network."""
    collect = collector.collect

    def freeing(self: Any, name: bytes, array: object) -> None:  # noqa: ANN401
        if mx.base.py_str(name) in self.include_layer:
            collect(self, name, array)
        else:
            mx.nd.NDArray(ctypes.cast(array, mx.base.NDArrayHandle), writable=False)  # type: ignore[arg-type]

    collector.collect = freeing
    try:
        yield
    finally:
        collector.collect = collect


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence stderr, where MXNet reports every step of the quantization from C++."""
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
