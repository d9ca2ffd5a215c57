"""Networks in 8-bit integers, by MXNet's own quantization: for inference on CPUs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np

from zoo import weights
from zoo.errors import ZooError
from zoo.lowering import block, without_dropout
from zoo.runtime import mx
from zoo.symbols import Node


def quantize(net: mx.gluon.HybridBlock, calibration: np.ndarray, scale: float = 1 / 255) -> mx.gluon.SymbolBlock:
    """A block that predicts in int8 what ``net`` predicts now; later changes of the weights do not reach it.

    ``calibration`` are uint8 images ``(n, 28, 28)`` that the network was not trained on: the largest values they
    produce, with pixels multiplied by ``scale``, fix the ranges of the integers. Raises :class:`ZooError` where
    MXNet cannot quantize the network.
    """
    from mxnet.contrib import quantization

    graph = without_dropout(net)
    for node in list(graph.nodes()):
        # Fused into an int8 convolution, MXNet 1.9.1 scales before it takes the tanh, and all digits become one.
        if node.operator == "Activation" and node.attributes.get("act_type") != "relu":
            node.inputs = [(Node("_plus_scalar", f"{node.name}_input", {"scalar": "0.0"}, node.inputs), 0)]
    symbol = graph.symbol()
    values: dict[str, dict[str, mx.nd.NDArray]] = {"arg": {}, "aux": {}}
    for name, value in weights.state(net).items():  # copies: MXNet fails on arrays in oneDNN's layouts
        kind, _, plain = name.partition(":")
        values[kind][plain] = mx.nd.array(value, dtype=value.dtype)
    pixels = calibration[:, None].astype(np.float32) * np.float32(scale)
    try:
        with _quiet():
            quantized, arguments, states = quantization.quantize_model(
                symbol.optimize_for("MKLDNN"),
                values["arg"],
                values["aux"],
                label_names=None,
                ctx=mx.cpu(),
                calib_mode="naive",
                calib_data=mx.io.NDArrayIter(pixels, batch_size=min(200, len(pixels))),
                num_calib_examples=len(pixels),
                quantized_dtype="auto",
                quantize_mode="full",
                logger=None,
            )
            result = block(quantized.optimize_for("MKLDNN_QUANTIZE"))
    except mx.base.MXNetError as error:
        raise ZooError(f"MXNet cannot quantize this network: {str(error).splitlines()[-1]}") from None
    for name, parameter in result.collect_params().items():
        value = arguments.get(name, states.get(name))
        parameter.shape = value.shape
        parameter._load_init(value, mx.cpu(), cast_dtype=True, dtype_source="saved")
    return result


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MXNet reports every step of it on stderr, from C++."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
