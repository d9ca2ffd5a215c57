"""Images in another resolution."""

from __future__ import annotations

from export.onnx.graph import Call
from export.onnx.sizes import sizes


def bilinear_resize(call: Call) -> str:
    """``_contrib_BilinearResize2D`` as Resize, to the size that MXNet infers."""
    call.settings.ignore("height", "width", "scale_height", "scale_width", "mode")
    aligned = call.settings.flag("align_corners", True)
    like = call.inputs[-1]  # the data themselves, unless the mode is "like"
    height, width = (size if isinstance(size, int) else (like, axis) for axis, size in enumerate(call.shape[2:], 2))
    wanted = sizes(call, (call.data, 0), (call.data, 1), height, width)
    # Like MXNet, "pytorch_half_pixel" takes an output of a single pixel from the input's first, not from its middle.
    mode = "align_corners" if aligned else "pytorch_half_pixel"
    return call.add("Resize", call.data, "", "", wanted, mode="linear", coordinate_transformation_mode=mode)


OPERATORS = {"_contrib_BilinearResize2D": bilinear_resize}
