"""Attention as transformers of GluonNLP compute it, over projections of (steps, batch, heads · parts · width)."""

from __future__ import annotations

import math

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import fixed


def scores(call: Call) -> str:
    """``_contrib_interleaved_matmul_*_qk``: queries times keys, as (batch · heads, steps, steps)."""
    heads = call.settings.integer("heads", 0)
    if len(call.inputs) == 1:  # queries, keys and values are interleaved
        queries, keys = (_projection(call, call.data, heads, 3, part) for part in range(2))
    else:
        queries, keys = _projection(call, call.data, heads, 1, 0), _projection(call, call.inputs[1], heads, 2, 0)
    width = _width(call, call.data, heads, 3 if len(call.inputs) == 1 else 1)
    scaled = call.add("Div", queries, call.number("root", math.sqrt(width)), suffix="scaled")
    turned = call.add("Transpose", keys, suffix="turned", perm=[0, 1, 3, 2])
    product = call.add("MatMul", scaled, turned, suffix="product")
    return call.add("Reshape", product, call.integers("shape", [-1, *fixed(call, call.shape[1:])]))


def attended(call: Call) -> str:
    """``_contrib_interleaved_matmul_*_valatt``: attention times values, as (steps, batch, heads · width)."""
    heads, parts = call.settings.integer("heads", 0), 3 if "selfatt" in call.operator else 2
    data, attention = call.inputs
    values = _projection(call, data, heads, parts, parts - 1)
    shape = call.integers("heads", [-1, heads, *fixed(call, attention.shape[1:])])
    split = call.add("Reshape", attention, shape, suffix="attention")
    product = call.add("MatMul", split, values, suffix="product")
    turned = call.add("Transpose", product, suffix="turned", perm=[2, 0, 1, 3])
    return call.add("Reshape", turned, call.integers("shape", [0, 0, heads * _width(call, data, heads, parts)]))


def _projection(call: Call, data: Tensor, heads: int, parts: int, part: int) -> str:
    """Return one of the interleaved ``parts`` of every head, as (batch, heads, steps, width)."""
    shape = call.integers("parts", [0, 0, heads, parts, _width(call, data, heads, parts)])
    split = call.add("Reshape", data, shape, suffix="split")
    chosen = call.add("Gather", split, call.constant("part", part, np.int64), suffix=f"part{part}", axis=3)
    return call.add("Transpose", chosen, suffix="projection", perm=[1, 2, 0, 3])


def _width(call: Call, data: Tensor, heads: int, parts: int) -> int:
    total = data.shape[2]
    if not isinstance(total, int) or heads < 1 or total % (heads * parts):
        raise call.refusal(f"{total} values cannot be divided among {heads} heads")
    return total // (heads * parts)


def div_sqrt_dim(call: Call) -> str:
    """``_contrib_div_sqrt_dim`` as Div by the root of the last dimension's size."""
    size = call.data.shape[-1]
    if not isinstance(size, int):
        raise call.refusal("its last dimension depends on the batch size")
    return call.add("Div", call.data, call.number("root", math.sqrt(size)))


OPERATORS = {
    "_contrib_div_sqrt_dim": div_sqrt_dim,
    "_contrib_interleaved_matmul_encdec_qk": scores,
    "_contrib_interleaved_matmul_encdec_valatt": attended,
    "_contrib_interleaved_matmul_selfatt_qk": scores,
    "_contrib_interleaved_matmul_selfatt_valatt": attended,
}
