"""The C functions of the layers without weights."""

from __future__ import annotations

from math import prod

from export.c.arithmetic import Arithmetic, Code
from export.c.plan import Crop, Join, Layer, Pad, Pool, Softmax, Transpose
from export.c.text import block, by, loop


def pool(layer: Pool, found: Code, kind: Arithmetic) -> list[str]:
    """Windows, which are cut where they reach beyond the data."""
    height, width, channels = layer.sources[0].stored
    rows, columns, _ = layer.target.stored
    (high, wide), (down, along), (top, left) = layer.kernel, layer.stride, layer.pad
    ys, h, is_whole_y = _extent("y", height, rows, high, down, top, layer.counts_padding)
    xs, w, is_whole_x = _extent("x", width, columns, wide, along, left, layer.counts_padding)
    is_fixed = is_whole_y and is_whole_x
    value, sums = f"in0[(ky * {width} + kx) * {channels} + c]", kind.sum
    first, step, total = "0", f"a[c] += {value};", "a[c]"
    if layer.kind == "max":
        first, step, sums = (
            f"in0[(y0 * {width} + x0) * {channels} + c]",
            f"a[c] = a[c] > {value} ? a[c] : {value};",
            kind.data,
        )
    elif layer.kind == "avg":
        total = kind.mean(layer, str(high * wide) if is_fixed else f"{h} * {w}", is_fixed)
    return loop("y", rows, ys, loop("x", columns, xs,
        f"{sums} a[{channels}];",
        loop("c", channels, f"a[c] = {first};"),
        block("for (int ky = y0; ky < y1; ky++)", block(
            "for (int kx = x0; kx < x1; kx++)", loop("c", channels, step))),
        loop("c", channels, kind.stored(layer, found, total, f"(y * {columns} + x) * {channels} + c", "c")),
    ))  # fmt: skip


def _extent(
    axis: str, size: int, windows: int, extent: int, step: int, pad: int, counts_padding: bool
) -> tuple[list[str], str, bool]:
    """Return where the windows along one axis begin and end within the data, what counts, and whether none is cut."""
    if pad == 0 and (windows - 1) * step + extent <= size:
        start = by(axis, step) if windows > 1 else "0"
        return [f"const int {axis}0 = {start}, {axis}1 = {axis}0 + {extent};"], str(extent), True
    start = f"{by(axis, step)} - {pad}"
    lines = [
        f"const int {axis}0 = {start} > 0 ? {start} : 0;",
        f"const int {axis}1 = {start} + {extent} < {size} ? {start} + {extent} : {size};",
    ]
    if not counts_padding:
        return lines, f"({axis}1 - {axis}0)", False
    left = f"{size + 2 * pad} - {by(axis, step)}"  # from the first row or column to the end of the padding
    return lines, f"({extent} < {left} ? {extent} : {left})", False


def pad(layer: Pad, found: Code, kind: Arithmetic) -> list[str]:
    """The border first, and with it everything; then the data."""
    height, width, channels = layer.sources[0].stored
    _, columns, _ = layer.target.stored
    top, left = layer.before
    return [
        *loop("i", layer.target.size, f"out[i] = {kind.constant(layer, layer.value)};"),
        *loop("y", height, loop(
            "i", width * channels,
            f"out[(y + {top}) * {columns * channels} + {left * channels} + i] = in0[y * {width * channels} + i];",
        )),
    ]  # fmt: skip


def crop(layer: Crop, found: Code, kind: Arithmetic) -> list[str]:
    """A part of every dimension."""
    _, width, channels = layer.sources[0].stored
    rows, columns, kept = layer.target.stored
    y, x, c = layer.start
    return loop("y", rows, loop("x", columns, loop("c", kept,
        f"out[(y * {columns} + x) * {kept} + c] = in0[((y + {y}) * {width} + x + {x}) * {channels} + c + {c}];",
    )))  # fmt: skip


def join(layer: Join, found: Code, kind: Arithmetic) -> list[str]:
    """One input after another, for all that comes before the axis."""
    outer, total = prod(layer.target.stored[: layer.axis]), prod(layer.target.stored[layer.axis :])
    lines, offset = [], 0
    for position, source in enumerate(layer.sources):
        size = prod(source.stored[layer.axis :])
        value = kind.copied(layer, found, position, f"in{position}[o * {size} + i]")
        lines += loop("i", size, f"out[o * {total} + {offset} + i] = {value};")
        offset += size
    return loop("o", outer, lines)


def elementwise(layer: Layer, found: Code, kind: Arithmetic) -> list[str]:
    """Nothing but the steps."""
    channels = layer.target.stored[2]
    index = f"i * {channels} + c"
    value = kind.pointwise(layer, found).format(index)
    lines = kind.stored(layer, found, value, index, "c")
    return loop("i", layer.target.size // channels, loop("c", channels, lines))


def transpose(layer: Transpose, found: Code, kind: Arithmetic) -> list[str]:
    """Rows become columns."""
    columns = layer.target.size // layer.rows
    line = f"out[c * {layer.rows} + r] = in0[r * {columns} + c];"
    return loop("r", layer.rows, loop("c", columns, line))


def softmax(layer: Softmax, found: Code, kind: Arithmetic) -> list[str]:
    """In floats, from which the largest is subtracted first."""
    channels = layer.target.stored[2]
    result = "p[c] - largest - logf(sum)" if layer.is_logarithm else "expf(p[c] - largest) / sum"
    return loop(
        "i",
        layer.target.size // channels,
        f"float p[{channels}];",
        "float largest = -HUGE_VALF, sum = 0.0f;",
        loop(
            "c",
            channels,
            f"p[c] = {kind.pointwise(layer, found).format(f'i * {channels} + c')};",
            "largest = p[c] > largest ? p[c] : largest;",
        ),
        loop("c", channels, "sum += expf(p[c] - largest);"),
        loop("c", channels, f"out[i * {channels} + c] = {result};"),
    )
