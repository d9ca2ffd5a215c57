"""Operators of MXNet's NumPy interface that move, join and cut arrays."""

from __future__ import annotations

import re
from collections.abc import Callable

from export.onnx.graph import Call
from export.onnx.operators import shapes
from export.onnx.operators.numpy_like import cast
from export.onnx.parts import flipped


def reshape(call: Call) -> str:
    """``_np_reshape`` and ``_npx_reshape``, to the shape that MXNet infers."""
    call.settings.ignore("newshape")
    call.settings.only("order", "C")
    return shapes.reshape(call)


def move(call: Call) -> str:
    """``_np_moveaxis`` as Transpose."""
    sources, ends = ([call.axis(axis) for axis in call.settings.integers(key, ())] for key in ("source", "destination"))
    order = [axis for axis in range(call.data.rank) if axis not in sources]
    for end, source in sorted(zip(ends, sources)):
        order.insert(end, source)
    return call.add("Transpose", call.data, perm=order)


def concatenate(call: Call) -> str:
    """``_npi_concatenate``, and ``_npi_vstack`` of two dimensions and more, as Concat."""
    call.settings.ignore("num_args")
    if call.operator == "_npi_vstack" and call.data.rank < 2:
        raise call.refusal("it is translated for two dimensions and more")
    axis = call.axis(call.settings.integer("axis", 0))
    return call.add("Concat", *(cast(call, each) for each in call.inputs), axis=axis)


def split(call: Call) -> list[str]:
    """``_split_v2``, which is NumPy's split, as Split before the indices, or into sections that differ by one."""
    settings = call.settings
    axis, sections = call.axis(settings.integer("axis", 1)), settings.integer("sections", 0)
    size = call.data.shape[axis]
    if not isinstance(size, int):
        raise call.refusal("it cuts the batch into parts")
    starts = settings.integers("indices", ())
    if sections:
        starts = tuple(number * (size // sections) + min(number, size % sections) for number in range(sections))
    bounds = [*(start + size if start < 0 else start for start in starts), size]
    sizes = [end - begin for begin, end in zip(bounds, bounds[1:])]
    if min(sizes) < 1:
        raise call.refusal(f"one of its parts is empty: they begin at {starts}")
    return shapes.cut(call, axis, sizes)


def flip(call: Call) -> str:
    """``_npi_flip`` as Slice from the end to the start."""
    axes = [call.axis(axis) for axis in call.settings.integers("axis", tuple(range(call.data.rank)))]
    return flipped(call, axes)


def pad(call: Call) -> str:
    """``_npi_pad`` as Pad."""
    call.settings.only("mode", "constant", "edge", "reflect")
    call.settings.only("reflect_type", "even")
    call.settings.ignore("pad_width")
    widths = [int(number) for number in re.findall(r"-?\d+", call.node.attributes["pad_width"])]
    if len(widths) != 2 * call.data.rank:
        raise call.refusal("its widths are not a pair for each axis")
    return shapes.padded(call, widths)


def broadcast(call: Call) -> str:
    """``_npi_broadcast_to`` as Expand, which leaves the sizes that it is given as 1."""
    call.settings.ignore("shape")
    added = len(call.shape) - call.data.rank
    pairs = zip((1,) * added + call.data.shape, call.shape)
    sizes = [1 if size == before else size for before, size in pairs]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes):
        raise call.refusal("a size of its output depends on the batch size, but is another than in its input")
    return call.add("Expand", call.data, call.integers("shape", known))


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "_np_moveaxis": move,
    "_np_reshape": reshape,
    "_npi_broadcast_to": broadcast,
    "_npi_concatenate": concatenate,
    "_npi_flip": flip,
    "_npi_pad": pad,
    "_npi_vstack": concatenate,
    "_npx_reshape": reshape,
    "_split_v2": split,
}
