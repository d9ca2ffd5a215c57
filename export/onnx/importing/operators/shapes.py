"""Operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from export.onnx.importing.graph import Call, Refusal, Tensor
from zoo.graph.shapes import Shape

_END = 2**31 - 1  # ONNX's exporters write this or more for the end of any axis


def flatten(call: Call) -> Tensor:
    """``Flatten`` as Flatten, or as Reshape for other axes than the first."""
    data, axis = call.data, call.get("axis", 1)
    axis = axis if axis == data.rank else call.axis(axis)
    return reshaped(call, data, [(prod(shape[:axis]), prod(shape[axis:])) for shape in data.shapes])


def reshape(call: Call) -> Tensor:
    """``Reshape`` to the shape that ONNX means, with the batch size left open."""
    data, target, empty = call.data, call.input(1), bool(call.get("allowzero", 0))
    if target.values is None:
        raise Refusal(f"its shape {target.name} is computed from the data")
    wanted = [
        _resolved(shape, [int(each) for each in sizes], empty) for shape, sizes in zip(data.shapes, target.values)
    ]
    return reshaped(call, data, wanted)


def _resolved(before: Shape, target: Sequence[int], empty: bool) -> Shape:
    """Return the shape that ONNX makes of ``before``: 0 keeps a size, and -1 takes what is left."""
    if not empty and any(size == 0 and axis >= len(before) for axis, size in enumerate(target)):
        raise Refusal(f"it keeps an axis that data of the shape {before} do not have")
    sizes = [before[axis] if size == 0 and not empty else size for axis, size in enumerate(target)]
    others = prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or others < 1 or (-1 in sizes and prod(before) % others):
        raise Refusal(f"it cannot make {tuple(target)} of {before}")
    return tuple(prod(before) // others if size == -1 else size for size in sizes)


def reshaped(call: Call, data: Tensor, wanted: list[Shape]) -> Tensor:
    """Append what makes ``wanted`` of ``data``, a shape for each batch size that is tried."""
    if tuple(wanted) == data.shapes:
        return data
    if not wanted[0] or len({len(shape) for shape in wanted}) != 1:
        raise Refusal("it leaves no dimension, and MXNet has no scalars")
    sizes = list(zip(*wanted))
    opened = sizes[0] == call.network.batches == tuple(shape[0] for shape in data.shapes)
    target = [each[0] if len(set(each)) == 1 else -1 for each in sizes]
    if opened:
        target[0] = 0  # in MXNet, too, this keeps a size
    elif len(wanted) == 1:
        target[0] = -1  # the network of a file with a fixed batch size may take others
    if target.count(-1) > 1:
        raise Refusal("two of its dimensions depend on the batch size")
    if opened and len(target) == 2 and target[1] != -1:
        return call.add("Flatten", data)
    return call.add("Reshape", data, shape=tuple(target))


def transpose(call: Call) -> Tensor:
    """``Transpose`` as transpose."""
    data = call.data
    axes = call.integers("perm", range(data.rank)[::-1])
    return call.add("transpose", data, axes=tuple(call.axis(each) for each in axes))


def squeeze(call: Call) -> Tensor:
    """``Squeeze`` as squeeze; without axes, it would depend on the batch size, and is refused."""
    data, axes = call.data, call.constants("axes", 1)
    if not axes:
        raise Refusal("it names no axes")
    if len(axes) == data.rank:
        raise Refusal("it leaves no dimension, and MXNet has no scalars")
    return call.add("squeeze", data, axis=tuple(call.axis(each) for each in axes))


def unsqueeze(call: Call) -> Tensor:
    """``Unsqueeze`` as expand_dims, once for each axis."""
    data, axes = call.data, call.constants("axes", 1) or []
    for axis in sorted(call.axis(each, data.rank + len(axes)) for each in axes):
        data = call.add("expand_dims", data, axis=axis)
    return data


def concat(call: Call) -> Tensor:
    """``Concat`` as Concat."""
    parts = [call.computed(number) for number in range(len(call.inputs))]
    axis = call.axis(call.get("axis", 0))
    return parts[0] if len(parts) == 1 else call.add("Concat", *parts, num_args=len(parts), dim=axis)


def split(call: Call) -> list[Tensor]:
    """``Split`` as SliceChannel, or as slice_axis for parts of different sizes."""
    data, axis, count = call.data, call.axis(call.get("axis", 0)), len(call.operation.outputs)
    size, sizes = data.size(axis), call.constants("split", 1)
    if call.get("num_outputs", count) != count:
        raise Refusal(f"it has {count} outputs and another num_outputs")
    if sizes is None:
        part = -(-size // count)
        sizes = [part] * (count - 1) + [size - part * (count - 1)]
    if len(sizes) != count or min(sizes) < 1 or sum(sizes) != size:
        raise Refusal(f"it cuts {size} into {sizes}")
    if len(set(sizes)) == 1:
        return [data] if count == 1 else call.add_several("SliceChannel", data, num_outputs=count, axis=axis)
    ends = [int(each) for each in np.cumsum(sizes)]
    return [
        call.add("slice_axis", data, axis=axis, begin=end - part, end=end) for part, end in zip(sizes, ends)
    ]  # fmt: skip


def slice_(call: Call) -> Tensor:
    """``Slice`` as slice_axis for each axis that is cut, or as slice where it leaves out elements in between."""
    data = call.data
    starts, ends = call.constants("starts", 1) or [], call.constants("ends", 2) or []
    axes, steps = call.constants("axes", 3), call.constants("steps", 4)
    axes, steps = list(range(len(starts))) if axes is None else axes, [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Refusal("its starts, ends, axes and steps are not equally many")
    for start, end, axis, step in zip(starts, ends, map(call.axis, axes), steps):
        if step < 1:
            raise Refusal(f"there is no translation of a step of {step}")
        if (start, step) == (0, 1) and end >= _END:
            continue
        kept = range(*slice(start, end, step).indices(data.size(axis)))
        if not kept:
            raise Refusal(f"it keeps nothing of axis {axis}")
        if step == 1:
            data = call.add("slice_axis", data, axis=axis, begin=kept.start, end=kept.stop)
            continue
        before = (None,) * axis
        data = call.add("slice", data, begin=(*before, kept.start), end=(*before, kept.stop), step=(*before, step))
    return data


def pad(call: Call) -> Tensor:
    """``Pad`` as Pad, of the axes from the third on."""
    data, mode = call.data, call.only("mode", "constant", "edge", "reflect")
    pads, filler, axes = call.constants("pads", 1) or [], call.number(2), call.constants("axes", 3)
    axes = list(range(data.rank)) if axes is None else [call.axis(each) for each in axes]
    if len(pads) != 2 * len(axes) or min(pads, default=0) < 0:
        raise Refusal(f"there is no translation of pads={pads}")
    if not any(pads):
        return data
    widths = {axis: (pads[number], pads[number + len(axes)]) for number, axis in enumerate(axes)}
    if data.rank not in (4, 5) or any(any(widths.get(axis, ())) for axis in (0, 1)):
        raise Refusal("only the height and width, and the depth, of images are padded")
    if mode == "reflect" and any(max(each) >= data.size(axis) for axis, each in widths.items() if any(each)):
        raise Refusal(f"it reflects more than there is: {pads}")
    flat = tuple(each for axis in range(data.rank) for each in widths.get(axis, (0, 0)))
    return call.add("Pad", data, mode=mode, pad_width=flat, constant_value=0.0 if filler is None else filler)


OPERATORS: dict[str, Callable[[Call], Tensor | list[Tensor]]] = {
    "Concat": concat,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
