"""Small ONNX files, from statements in ONNX's own notation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

OPEN = "float[a,b,c,d] y"


def write(
    path: Path,
    graph: str,
    constants: Mapping[str, np.ndarray],
    output: str | None = OPEN,
    data: str = "float[n,4,9,9] x",
    opset: int = 17,
) -> Path:
    """Write ``graph``, which makes ``output`` of ``data``, and those of the ``constants`` that it takes, to ``path``.

    ONNX infers the shape of an output that is None.
    """
    import onnx

    text = f'<ir_version: 10, opset_import: ["": {opset}, "other": 1]> it ({data}) => ({output or OPEN}) {{ {graph} }}'
    model = onnx.parser.parse_model(text)
    taken = {name for node in model.graph.node for name in node.input}
    for name in sorted(taken & set(constants)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(constants[name], name))
    if output is None:
        model.graph.output[0].type.tensor_type.ClearField("shape")
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    onnx.save(model, path)
    return path
