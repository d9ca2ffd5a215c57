"""The module dnn of OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.runtimes.runtime import Forward, data_of

if TYPE_CHECKING:
    import onnx


def open_file(path: Path) -> Forward:
    """Open ``path``, again for each size of batches, since OpenCV supports no open one."""
    import cv2
    import onnx

    model = onnx.load(path)
    if any(map(_averages_padding, model.graph.node)):
        raise ValueError("it ignores count_include_pad in average pooling")
    wide = {each.name for each in model.graph.initializer if each.data_type == onnx.TensorProto.INT32}
    if any(node.op_type == "DequantizeLinear" and node.input[0] in wide for node in model.graph.node):
        raise ValueError("it misreads 32-bit integers in DequantizeLinear")
    inputs, outputs = data_of(model.graph), [value.name for value in model.graph.output]

    @cache
    def opened(batch: int) -> cv2.dnn.Net:
        for value in inputs:
            value.type.tensor_type.shape.dim[0].dim_value = batch
        return cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))

    def forward(*arrays: np.ndarray) -> Sequence[np.ndarray]:
        net = opened(len(arrays[0]))
        for value, array in zip(inputs, arrays):
            net.setInput(array, value.name)
        return net.forward(outputs)

    return forward


def _averages_padding(node: onnx.NodeProto) -> bool:
    given = {attribute.name: attribute for attribute in node.attribute}
    counted = "count_include_pad" in given and given["count_include_pad"].i == 1
    return node.op_type == "AveragePool" and counted and "pads" in given and any(given["pads"].ints)
