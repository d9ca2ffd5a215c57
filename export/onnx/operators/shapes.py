"""Operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import BATCH, Call, Tensor

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
    sizes = [0 if axis == 0 and size == before[0] == BATCH else size for axis, size in enumerate(after)]
    target = [size if isinstance(size, int) else -1 for size in sizes]
    if target.count(-1) > 1:
        raise call.refusal("two of its dimensions depend on the batch size")
    return call.add("Reshape", call.data, call.integers("shape", target))


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
    ones = [axis for axis, size in enumerate(call.data.shape) if size == 1]
    axes = ones if given is None else sorted(call.axis(value) for value in given)
    return call.add("Squeeze", call.data, call.integers("axes", axes))


def concat(call: Call) -> str:
    """``Concat`` as Concat; a single tensor stays unchanged."""
    call.settings.ignore("num_args")
    if len(call.inputs) == 1:
        return call.data.name
    return call.add("Concat", *call.inputs, axis=call.axis(call.settings.integer("dim", 1)))


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
    squeezed = settings.flag("squeeze_axis", False)
    parts = [call.graph.unique(f"{call.name}_{number}{'_part' * squeezed}") for number in range(count)]
    call.graph.add("Split", [call.data, call.integers("sizes", [size // count] * count)], parts, axis=axis)
    if not squeezed:
        return parts
    axes = call.integers("axes", [axis])
    return [call.add("Squeeze", part, axes, suffix=str(number)) for number, part in enumerate(parts)]


def slice_axis(call: Call) -> str:
    """``slice_axis`` as Slice along one axis."""
    settings = call.settings
    axis, begin = call.axis(settings.integer("axis", 0)), settings.integer("begin", 0)
    end = _END if settings.get("end") in (None, "None") else settings.integer("end", _END)
    return _slice(call, [begin], [end], [axis])


def slice_(call: Call) -> str:
    """``slice`` as Slice along the first axes, without steps."""
    begins, ends = [begin or 0 for begin in _bounds(call, "begin")], _bounds(call, "end")
    call.settings.only("step", (), "()", "[]", None)
    return _slice(call, begins, [_END if end is None else end for end in ends], list(range(len(begins))))


def _bounds(call: Call, key: str) -> list[int | None]:
    """Return one bound per leading axis, None if it is not cut; a single number counts as a list of one."""
    given = call.settings.get(key, ())
    held = given if isinstance(given, (tuple, list)) else (given,)
    bounds = [each for each in held if each is None or isinstance(each, int)]
    if len(bounds) < len(held):
        raise call.refusal(f"there is no translation of {key}={given}")
    return bounds


def _slice(call: Call, begins: list[int], ends: list[int], axes: list[int]) -> str:
    kept = [each for each in zip(begins, ends, axes) if each[:2] != (0, _END)]
    if not kept:
        return call.data.name
    starts, stops, along = zip(*kept)
    inputs = (call.integers("starts", starts), call.integers("ends", stops), call.integers("axes", along))
    return call.add("Slice", call.data, *inputs)


def pad(call: Call) -> str:
    """``Pad`` as Pad, with the widths as an input."""
    settings = call.settings
    mode, widths = settings.only("mode", None, "constant", "edge", "reflect"), settings.integers("pad_width", ())
    value = settings.number("constant_value", 0.0)
    inputs: list[Tensor | str] = [call.data, call.integers("pads", [*widths[::2], *widths[1::2]])]
    if mode == "constant":
        inputs.append(call.number("value", value))
    return call.add("Pad", *inputs, mode=mode)


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "Concat": concat,
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
