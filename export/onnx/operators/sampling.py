"""Images sampled at any points: grids of points from -1 to 1, and bilinear interpolation, with zeros outside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export.onnx.graph import Call, Tensor


def bilinear_sampler(call: Call) -> str:
    """``BilinearSampler`` as GridSample."""
    return _sampled(call, *call.inputs)


def grid_generator(call: Call) -> str:
    """``GridGenerator``: the points of an affine transformation, or pixels that are moved by the data."""
    if call.settings.only("transform_type", "affine", "warp") == "affine":
        return _affine(call, call.data)
    call.settings.ignore("target_shape")
    height, width = _extent(call)
    pixels = call.constant("pixels", np.indices((height, width))[::-1], call.data.dtype)
    moved = call.add("Add", call.data, pixels, suffix="moved")
    half = call.constant("half", [[[(width - 1) / 2]], [[(height - 1) / 2]]], call.data.dtype)
    return call.add("Sub", call.add("Div", moved, half, suffix="scaled"), call.number("one", 1))


def spatial_transformer(call: Call) -> str:
    """``SpatialTransformer`` as GridSample at the points of an affine transformation."""
    data, transformation = call.inputs
    call.settings.only("transform_type", "affine")
    call.settings.only("sampler_type", "bilinear")
    return _sampled(call, data, _affine(call, transformation, suffix="grid"))


def _extent(call: Call) -> tuple[int, int]:
    height, width = call.shape[2:]
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 2:
        raise call.refusal(f"its grid of {height} times {width} points is not fixed, or has a single row or column")
    return height, width


def _affine(call: Call, transformation: Tensor, suffix: str = "") -> str:
    """Return the points of a whole image, (batch, 2, height, width), transformed by six numbers for each item."""
    call.settings.ignore("target_shape")
    height, width = _extent(call)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    points = call.constant("points", np.stack([x, y, np.ones_like(x)]).reshape(3, -1), transformation.dtype)
    matrices = call.add("Reshape", transformation, call.integers("matrix", [-1, 2, 3]), suffix="matrices")
    moved = call.add("MatMul", matrices, points, suffix="moved")
    return call.add("Reshape", moved, call.integers("extent", [-1, 2, height, width]), suffix=suffix)


def _sampled(call: Call, data: Tensor, grid: Tensor | str) -> str:
    if call.opset < 16:
        raise call.refusal(f"ONNX has GridSample from opset 16 on, and this is {call.opset}")
    points = call.add("Transpose", grid, suffix="points", perm=[0, 2, 3, 1])
    mode = "linear" if call.opset >= 20 else "bilinear"
    return call.add("GridSample", data, points, mode=mode, padding_mode="zeros", align_corners=1)


OPERATORS: dict[str, Callable[[Call], str]] = {
    "BilinearSampler": bilinear_sampler,
    "GridGenerator": grid_generator,
    "SpatialTransformer": spatial_transformer,
}
