"""The C functions of convolutions and fully connected layers.

Output channels are the lanes of vectors: the innermost loops run over them, have constant bounds, and read weights that
lie side by side. Several terms of each sum are written out, so that compilers keep the sums in registers meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from export.c.arithmetic import Arithmetic, Code, steps
from export.c.plan import Convolution, Dense, Function
from export.c.text import block, by, loop, repeated, times

_PIXELS = 4  # that share the weights they are multiplied with
_LANES = 32  # sums of one pixel at a time, at most
_DENSE_LANES = 64
_TERMS = (4, 5, 3, 6, 7, 8)  # written out, by preference
_INTEGER_TERMS = (1,)  # bytes are widened best on their own


def convolution(layer: Convolution, found: Code, kind: Arithmetic) -> list[str]:
    """Some pixels at a time, whose windows are multiplied with a block of filters."""
    _, width, channels = layer.sources[0].stored
    rows, columns, filters = layer.target.stored
    _, depth, high, wide = layer.weight.shape
    if depth == 1 and layer.groups == filters:
        return depthwise(layer, found, kind)
    (down, along), groups = layer.stride, layer.groups
    if (high, wide, down, along) == (1, 1, 1, 1):  # pixels are independent: all are one row
        rows, columns, width = 1, rows * columns, rows * columns
    each = filters // groups
    blocks, lanes = lanes_of(each, _LANES)
    weights, biases = kind.parameters(layer)
    weight = found.constant("weight", padded(weights.transpose(0, 2, 3, 1), groups, blocks, lanes))
    bias = found.constant("bias", padded(biases, groups, blocks, lanes))
    pixels = min(_PIXELS, columns)
    is_row = groups == 1 and layer.dilate[1] == 1  # of the window, whose values lie side by side
    sums = _sums(pixels, lanes, wide * depth if is_row else depth, along * channels, kind)
    pixel = f"(({by('y', down)} + {by('ky', layer.dilate[0])}) * {width} + {by('x', along)}) * {channels}"
    start = f"in0 + {pixel}{times('g', groups, depth)}"
    parts = [f"const {kind.data} *p = {start};", *sums]
    if not is_row:
        parts = loop("kx", wide, f"{parts[0][:-1]} + kx * {layer.dilate[1] * channels};", sums)
    window = loop("ky", high, parts)
    ends = each - (blocks - 1) * lanes
    count = str(ends) if blocks == 1 or ends == lanes else f"(b < {blocks - 1} ? {lanes} : {ends})"
    channel = f"c{times('b', blocks, lanes)}{times('g', groups, each)}"
    index = f"(y * {columns} + x + t) * {filters} + {channel}"
    offset = f"{times('g', groups, blocks * lanes)}{times('b', blocks, lanes)}"
    size = lanes * high * wide * depth
    stored, functions = layer, None
    if kind.sum == "float" and layer.steps and all(isinstance(step, Function) for step in layer.steps):
        stored = replace(layer, steps=())
        functions = ["float v = a[t][c];", *steps(layer, found, "c", str), "a[t][c] = v;"]  # of whole vectors
    return repeated("g", groups, repeated("b", blocks, loop("y", rows,
        block(
            f"for (int x0 = 0; x0 < {columns}; x0 += {pixels})",
            f"const int x = {f'x0 < {columns - pixels} ? x0 : {columns - pixels}' if columns % pixels else 'x0'};",
            f"{kind.sum} a[{pixels}][{lanes}];",
            f"const {kind.weight} *w = {weight}{times('g', groups, size * blocks)}{times('b', blocks, size)};",
            loop("c", lanes, "".join(f"a[{t}][c] = " for t in range(pixels)) + f"{bias}[c{offset}];"),
            window,
            [] if functions is None else loop("t", pixels, loop("c", lanes, functions)),
            loop("t", pixels, loop("c", count, kind.stored(stored, found, "a[t][c]", index, channel))),
        ),
    )))  # fmt: skip


def _sums(pixels: int, lanes: int, terms: int, step: int, kind: Arithmetic) -> list[str]:
    """Return the statements that add ``terms`` products to the sums ``a``, from ``p`` and ``w`` on, some at a time."""
    few = _INTEGER_TERMS if kind.sum != "float" else _TERMS
    chosen = terms if terms <= max(few) else next((each for each in few if terms % each == 0), few[0])
    parts = repeated("j", terms // chosen, _products(pixels, lanes, chosen, step))
    return [*parts, *(_products(pixels, lanes, terms % chosen, step) if terms % chosen else [])]


def _products(pixels: int, lanes: int, terms: int, step: int) -> list[str]:
    sums = []
    for pixel in range(pixels):
        products = [f"p[{pixel * step + term}] * w[{f'{term * lanes} + ' * bool(term)}c]" for term in range(terms)]
        sums += [f"a[{pixel}][c] += {products[0]}", *(f"    + {each}" for each in products[1:])]
        sums[-1] += ";"
    return [*loop("c", lanes, sums), f"p += {terms};", f"w += {terms * lanes};"]


def depthwise(layer: Convolution, found: Code, kind: Arithmetic) -> list[str]:
    """Every channel with a filter of its own."""
    _, width, channels = layer.sources[0].stored
    rows, columns, _ = layer.target.stored
    _, _, high, wide = layer.weight.shape
    weights, biases = kind.parameters(layer)
    weight = found.constant("weight", weights.transpose(1, 2, 3, 0))
    bias = found.constant("bias", biases)
    across = layer.dilate[1] * channels
    products = " + ".join(f"p[c + {kx * across}] * w[c + {kx * channels}]" for kx in range(wide))
    row, column = f"{by('y', layer.stride[0])} + {by('ky', layer.dilate[0])}", by("x", layer.stride[1])
    return loop("y", rows, loop("x", columns,
        f"{kind.sum} a[{channels}];",
        loop("c", channels, f"a[c] = {bias}[c];"),
        loop("ky", high,
            f"const {kind.data} *p = in0 + (({row}) * {width} + {column}) * {channels};",
            f"const {kind.weight} *w = {weight} + ky * {wide * channels};",
            loop("c", channels, f"a[c] += {products};"),
        ),
        loop("c", channels,
              kind.stored(layer, found, "a[c]", f"(y * {columns} + x) * {channels} + c", "c")),
    ))  # fmt: skip


def dense(layer: Dense, found: Code, kind: Arithmetic) -> list[str]:
    """Inputs that are zero, as the background of digits and the outputs of ReLU are, cost nothing."""
    outputs, inputs = layer.weight.shape
    blocks, lanes = lanes_of(outputs, _DENSE_LANES)
    weights, biases = kind.parameters(layer)
    weight = found.constant("weight", padded(weights, 1, blocks, lanes))
    bias = found.constant("bias", padded(biases, 1, blocks, lanes))
    ends = outputs - (blocks - 1) * lanes
    count = str(ends) if blocks == 1 or ends == lanes else f"(b < {blocks - 1} ? {lanes} : {ends})"

    def products(terms: int) -> list[str]:
        some = " || ".join(f"p[{term}] != 0" for term in range(terms))
        total = " + ".join(f"p[{term}] * w[{f'{term * lanes} + ' * bool(term)}c]" for term in range(terms))
        return [
            *block(f"if ({some})", loop("c", lanes, f"a[c] += {total};")),
            f"p += {terms};", f"w += {terms * lanes};",
        ]  # fmt: skip

    channel = f"c{times('b', blocks, lanes)}"
    lines = [
        f"const {kind.data} *p = in0;",
        f"const {kind.weight} *w = {weight}{times('b', blocks, lanes * inputs)};",
        f"{kind.sum} a[{lanes}];",
        *loop("c", lanes, f"a[c] = {bias}[{channel}];"),
        *(repeated("j", inputs // 4, products(4)) if inputs >= 4 else []),
        *(products(inputs % 4) if inputs % 4 else []),
        *loop("c", count, kind.stored(layer, found, "a[c]", channel, channel)),
    ]
    return repeated("b", blocks, lines)


def lanes_of(channels: int, most: int) -> tuple[int, int]:
    """Return how many blocks ``channels`` are cut into and how many lanes each has, a multiple of four."""
    blocks = -(-channels // most)
    return blocks, -(-channels // blocks // 4) * 4


def padded(values: np.ndarray, groups: int, blocks: int, lanes: int) -> np.ndarray:
    """Return ``values``, whose first axis are the channels, as (groups, blocks, …, lanes), with zeros at the end."""
    per_group = values.reshape(groups, -1, *values.shape[1:])
    wide = np.zeros((groups, blocks * lanes, *values.shape[1:]), values.dtype)
    wide[:, : per_group.shape[1]] = per_group
    return np.moveaxis(wide.reshape(groups, blocks, lanes, *values.shape[1:]), 2, -1)
