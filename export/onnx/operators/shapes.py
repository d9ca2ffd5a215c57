"""Operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np

from export.onnx.graph import BATCH, Call, Tensor
from export.onnx.parts import fixed, reshaped

_END = np.iinfo(np.int64).max


def flatten(call: Call) -> str:
    """``Flatten`` as Flatten; two-dimensional data stay unchanged."""
    return call.data.name if call.data.rank == 2 else call.add("Flatten", call.data, axis=1)


def reshape(call: Call) -> str:
    """``Reshape`` to the shape that MXNet infers, because ONNX does not share MXNet's shape codes."""
    call.settings.ignore("shape", "reverse", "target_shape", "keep_highest")
    before, after = call.data.shape, call.shape
    if before == after and None not in after:
        return call.data.name
    if call.data.value is not None:
        return call.constant("value", call.data.value.reshape(after))
    if len(after) == 2 and after[0] == before[0] == BATCH and isinstance(after[1], int):
        return call.add("Flatten", call.data, axis=1)
    return reshaped(call, call.data, after)


def transpose(call: Call) -> str:
    """``transpose`` as Transpose; without axes, their order is reversed."""
    axes = call.settings.integers("axes") or range(call.data.rank)[::-1]
    return call.add("Transpose", call.data, perm=[call.axis(value) for value in axes])


def swap(call: Call) -> str:
    """``SwapAxis`` as Transpose."""
    first = call.axis(call.settings.integer("dim1", 0))
    second = call.axis(call.settings.integer("dim2", 0))
    order = list(range(call.data.rank))
    order[first], order[second] = second, first
    return call.add("Transpose", call.data, perm=order)


def expand(call: Call) -> str:
    """``expand_dims`` as Unsqueeze."""
    axis = call.settings.integer("axis", 0)
    return call.add("Unsqueeze", call.data, call.integers("axes", [axis]))


def squeeze(call: Call) -> str:
    """``squeeze`` as Squeeze; without axes, it removes all of size 1."""
    given = call.settings.integers("axis")
    if given is None and not all(isinstance(size, int) for size in call.data.shape):
        raise call.refusal(
            "without an axis, it also removes the batch where that is 1: give axis, or fix the batch size"
        )
    ones = [axis for axis, size in enumerate(call.data.shape) if size == 1]
    axes = ones if given is None else sorted(call.axis(value) for value in given)
    return call.add("Squeeze", call.data, call.integers("axes", axes))


def concat(call: Call) -> str:
    """``Concat`` as Concat; a single tensor stays unchanged."""
    call.settings.ignore("num_args")
    axis = call.axis(call.settings.integer("dim", 1))
    return call.data.name if len(call.inputs) == 1 else call.add("Concat", *call.inputs, axis=axis)


def stack(call: Call) -> str:
    """``stack`` as Unsqueeze of every input, then Concat."""
    call.settings.ignore("num_args")
    axis = call.settings.integer("axis", 0)
    raised = [call.add("Unsqueeze", each, call.integers("axes", [axis]), suffix="part") for each in call.inputs]
    return call.add("Concat", *raised, axis=axis)


def split(call: Call) -> list[str]:
    """``SliceChannel`` as Split into equal parts, squeezed if requested; cutting the batch is refused."""
    settings = call.settings
    axis, count = call.axis(settings.integer("axis", 1)), settings.integer("num_outputs", 1)
    size = call.data.shape[axis]
    if not isinstance(size, int):
        raise call.refusal("it cuts the batch into parts")
    return cut(call, axis, [size // count] * count)


def cut(call: Call, axis: int, sizes: Sequence[int]) -> list[str]:
    """Split the data into parts of these ``sizes`` along ``axis``, and squeeze that if requested."""
    squeezed = call.settings.flag("squeeze_axis", False)
    parts = [call.graph.unique(f"{call.name}_{number}{'_part' * squeezed}") for number in range(len(sizes))]
    call.graph.add("Split", [call.data, call.integers("sizes", sizes)], parts, axis=axis)
    if not squeezed:
        return parts
    axes = call.integers("axes", [axis])
    return [call.add("Squeeze", part, axes, suffix=str(number)) for number, part in enumerate(parts)]


def slice_axis(call: Call) -> str:
    """``slice_axis`` as Slice along one axis."""
    settings = call.settings
    axis, begin = call.axis(settings.integer("axis", 0)), settings.integer("begin", 0)
    end = None if settings.get("end") is None else settings.integer("end", 0)
    return _slice(call, [(begin, end, None, axis)])


def slice_(call: Call) -> str:
    """``slice`` as Slice along the first axes."""
    bounds = zip_longest(*(_bounds(call, key) for key in ("begin", "end", "step")))
    return _slice(call, [(begin, end, step, axis) for axis, (begin, end, step) in enumerate(bounds)])


def _bounds(call: Call, key: str) -> tuple[int | None, ...]:
    """Return one bound per leading axis, None if it is not cut; a single number counts as a list of one."""
    given = call.settings.get(key, ())
    held = given if isinstance(given, tuple) else (given,)
    if not all(each is None or isinstance(each, int) for each in held):
        raise call.refusal(f"there is no translation of {key}={given}")
    return held


def _slice(call: Call, cuts: Sequence[tuple[int | None, int | None, int | None, int]]) -> str:
    """Cut axes by begin, end and step, which are None where they have their defaults."""
    kept = []
    for begin, end, step, axis in cuts:
        first, last = (_END, -_END) if (step or 1) < 0 else (0, _END)
        cut = (first if begin is None else begin, last if end is None else end, step or 1, axis)
        if cut[:3] != (0, _END, 1):
            kept.append(cut)
    if not kept:
        return call.data.name
    starts, stops, steps, axes = zip(*kept)
    inputs = [call.integers(*each) for each in (("starts", starts), ("ends", stops), ("axes", axes))]
    if set(steps) != {1}:
        inputs.append(call.integers("steps", steps))
    return call.add("Slice", call.data, *inputs)


def crop(call: Call) -> str:
    """``Crop`` as Slice of the last two axes."""
    settings = call.settings
    settings.ignore("h_w", "num_args")
    is_centred, offset = settings.flag("center_crop", False), settings.integers("offset", (0, 0))
    sizes, wanted = fixed(call, call.data.shape[2:]), fixed(call, call.shape[2:])
    if is_centred:
        offset = tuple((size - extent) // 2 for size, extent in zip(sizes, wanted))
    if any(begin + extent > size for begin, extent, size in zip(offset, wanted, sizes)):
        raise call.refusal(f"{wanted} from {offset} on is not within {sizes}")
    return _slice(call, [(begin, begin + extent, 1, 2 + axis)
                         for axis, (begin, extent) in enumerate(zip(offset, wanted))])  # fmt: skip


def pad(call: Call) -> str:
    """``Pad`` as Pad, with the widths as an input."""
    return padded(call, call.settings.integers("pad_width", ()))


def padded(call: Call, widths: Sequence[int]) -> str:
    """Pad the data by ``widths``, two for each axis, in one of the modes that ONNX has."""
    mode = call.settings.only("mode", "constant", "edge", "reflect")
    value = call.settings.number("constant_value", 0.0)
    inputs: list[Tensor | str] = [call.data, call.integers("pads", [*widths[::2], *widths[1::2]])]
    if mode == "constant":
        inputs.append(call.number("value", value))
    return call.add("Pad", *inputs, mode=mode)


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "Concat": concat,
    "Crop": crop,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "SliceChannel": split,
    "SwapAxis": swap,
    "expand_dims": expand,
    "slice": slice_,
    "slice_axis": slice_axis,
    "squeeze": squeeze,
    "stack": stack,
    "transpose": transpose,
}
