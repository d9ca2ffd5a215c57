"""Operators on MXNet's 8-bit integers."""

from __future__ import annotations

from zoo.runtime import mx

Q = mx.sym.contrib
# Layers have parameters in int8 or were fused by MXNet: networks with them are in test_int8.py.
LAYERS = {
    "_contrib_quantized_conv", "_contrib_quantized_fully_connected", "_sg_mkldnn_conv", "_sg_mkldnn_fully_connected",
}  # fmt: skip


def integers(x: mx.sym.Symbol, low: float = -1.0) -> list[mx.sym.Symbol]:
    """``x`` as integers from ``low`` to 1, and the two ends of their range."""
    return list(Q.quantize_v2(x - 0.5, out_type="auto", min_calib_range=low, max_calib_range=1.0))


def two(x: mx.sym.Symbol) -> list[mx.sym.Symbol]:
    """Integers of two ranges, in the order in which operators on two tensors take them."""
    (first, *ends), (second, *others) = integers(x), integers(x * 2, low=-2.0)
    return [first, second, *ends, *others]


def real(quantized: mx.sym.Symbol) -> mx.sym.Symbol:
    return Q.dequantize(*quantized)


CASES = [
    lambda x: real(Q.quantize_v2(x, out_type="auto", min_calib_range=0.0, max_calib_range=0.8)),
    lambda x: real(Q.quantized_pooling(*integers(x), kernel=(2, 2), stride=(2, 2), pool_type="max")),
    lambda x: real(Q.quantized_flatten(*integers(x))),
    lambda x: real(Q.quantized_act(*integers(x), act_type="relu")),
    lambda x: real(Q.quantized_elemwise_add(*two(x), min_calib_range=-1.7, max_calib_range=1.7)),
    lambda x: real(Q.requantize(*Q.quantized_elemwise_add(*two(x)), min_calib_range=-1.7, max_calib_range=1.7)),
    lambda x: real(Q.quantized_concat(*two(x), num_args=2)),
]
