"""The programs that run ONNX files, each in float32 on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx
    import onnxruntime
    import openvino

Forward = Callable[[np.ndarray], list[np.ndarray]]  # from the data to all outputs of the model


@dataclass(frozen=True)
class Runtime:
    """One program, and how it opens a file for batches of one size."""

    name: str
    module: str  # the module to import
    distributions: tuple[str, ...]  # one of which provides the module
    open: Callable[[Path, int], Forward]

    @property
    def is_installed(self) -> bool:
        """Whether its module can be found, without importing it."""
        return util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """The version of the installed distribution."""
        for distribution in self.distributions:
            try:
                return metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
        return "unknown"


def onnx_runtime_session(
    path: Path, batch: int | None = None, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """Create an ``onnxruntime.InferenceSession``; with ``batch``, it plans for batches of that size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    if batch is not None:
        options.add_free_dimension_override_by_name("batch", batch)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def openvino_model(
    path: Path, batch: int | None = None, dtype: str = "f32", **settings: object
) -> openvino.CompiledModel:
    """Create an ``openvino.CompiledModel`` for the CPU that computes in ``dtype``; ``batch`` fixes the batch size."""
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    if batch is not None:
        model.reshape([batch, *(dimension.get_length() for dimension in list(model.input(0).partial_shape)[1:])])
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": dtype, **settings})


def _onnx_runtime(path: Path, batch: int) -> Forward:
    session = onnx_runtime_session(path)
    name = session.get_inputs()[0].name
    return lambda data: session.run(None, {name: data})


def _openvino(path: Path, batch: int) -> Forward:
    request = openvino_model(path).create_infer_request()
    return lambda data: [value.copy() for value in request.infer({0: data}).values()]


def _opencv(path: Path, batch: int) -> Forward:
    import cv2
    import onnx

    model = onnx.load(path)
    for value in (*data_of(model.graph), *model.graph.output):  # OpenCV supports no open batch size
        value.type.tensor_type.shape.dim[0].dim_value = batch
    if any(map(_averages_padding, model.graph.node)):
        raise ValueError("it ignores count_include_pad in average pooling")
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    names = [value.name for value in model.graph.output]

    def forward(data: np.ndarray) -> list[np.ndarray]:
        net.setInput(data)
        return list(net.forward(names))

    return forward


def _averages_padding(node: onnx.NodeProto) -> bool:
    given = {attribute.name: attribute for attribute in node.attribute}
    counted = "count_include_pad" in given and given["count_include_pad"].i == 1
    return node.op_type == "AveragePool" and counted and "pads" in given and any(given["pads"].ints)


def _reference(path: Path, batch: int) -> Forward:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    (name,) = (each.name for each in data_of(evaluator.proto_.graph))
    return lambda data: evaluator.run(None, {name: data})


def data_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs of ``graph`` without its weights, which old files list as inputs as well."""
    weights = {each.name for each in graph.initializer}
    return [each for each in graph.input if each.name not in weights]


RUNTIMES = (
    Runtime("ONNX Runtime", "onnxruntime", ("onnxruntime", "onnxruntime-gpu"), _onnx_runtime),
    Runtime("OpenVINO", "openvino", ("openvino",), _openvino),
    Runtime("OpenCV dnn", "cv2", ("opencv-python-headless", "opencv-python", "opencv-contrib-python"), _opencv),
    Runtime("ONNX reference", "onnx", ("onnx",), _reference),
)
