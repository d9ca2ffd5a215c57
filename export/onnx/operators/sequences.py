"""Operators of sequences, each as long as one of its inputs says."""

from __future__ import annotations

import numpy as np

from export.onnx.graph import Call, Tensor
from export.onnx.parts import flipped
from export.onnx.sizes import sizes


def within(call: Call, lengths: Tensor, axis: int, *kept: int) -> str:
    """Add a mask of the positions along ``axis`` that lie within ``lengths``, whose axes are ``kept`` in the data."""
    count = call.add("Squeeze", sizes(call, (call.data, axis)), suffix="count")
    zero, one = (call.constant(name, number, np.int64) for name, number in (("zero", 0), ("one", 1)))
    position = call.add("Range", zero, count, one, suffix="position")
    others = call.integers("others", [each for each in range(call.data.rank) if each != axis])
    positions = call.add("Unsqueeze", position, others, suffix="positions")
    axes = call.integers("axes", [each for each in range(call.data.rank) if each not in kept])
    ends = call.add("Unsqueeze", _whole(call, lengths), axes, suffix="ends")
    return call.add("Less", positions, ends, suffix="within")


def _whole(call: Call, lengths: Tensor) -> str:
    """Return the lengths as integers; what MXNet does with fractions is to cut them off, too."""
    return call.add("Cast", lengths, suffix="whole", to=np.dtype(np.int64))


def mask(call: Call) -> str:
    """``SequenceMask`` as Where: what lies beyond the length of a sequence becomes ``value``."""
    axis, value = call.settings.only("axis", 0, 1), call.settings.number("value", 0.0)
    if not call.settings.flag("use_sequence_length", False):
        return call.data.name
    kept = within(call, call.inputs[1], axis, 1 - axis)
    return call.add("Where", kept, call.data, call.number("value", value))


def last(call: Call) -> str:
    """``SequenceLast`` as Gather of the last step, or as GatherND of the last within each sequence."""
    axis = call.settings.only("axis", 0, 1)
    if not call.settings.flag("use_sequence_length", False):
        return call.add("Gather", call.data, call.constant("last", -1, np.int64), axis=axis)
    data: Tensor | str = call.data
    if axis == 0:  # one sequence after the other
        data = call.add("Transpose", data, suffix="turned", perm=[1, 0, *range(2, call.data.rank)])
    index = call.add("Sub", _whole(call, call.inputs[1]), call.constant("one", 1, np.int64), suffix="index")
    rows = call.add("Unsqueeze", index, call.integers("axes", [1]), suffix="rows")
    return call.add("GatherND", data, rows, batch_dims=1)


def reverse(call: Call) -> str:
    """``SequenceReverse`` as a Slice that runs backwards, or as ReverseSequence up to each length."""
    call.settings.only("axis", 0)
    if not call.settings.flag("use_sequence_length", False):
        return flipped(call, [0])
    return call.add("ReverseSequence", call.data, _whole(call, call.inputs[1]), batch_axis=1, time_axis=0)


OPERATORS = {
    "SequenceLast": last,
    "SequenceMask": mask,
    "SequenceReverse": reverse,
}
