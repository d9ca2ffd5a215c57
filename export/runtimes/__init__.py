"""The programs that run ONNX files, each in float32 on the CPU."""

from functools import partial

from export.runtimes import apache_tvm, onnx_runtime, onnx_runtime_web, open_vino, opencv, reference, sonos_tract
from export.runtimes.onnx_runtime import onnx_runtime_session as onnx_runtime_session
from export.runtimes.open_vino import openvino_model as openvino_model
from export.runtimes.runtime import Runtime, installed

_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")

RUNTIMES = (
    Runtime(
        "ONNX Runtime", onnx_runtime.open_file, partial(installed, "onnxruntime", "onnxruntime", "onnxruntime-gpu"),
        is_required=True,
    ),
    Runtime("OpenVINO", open_vino.open_file, partial(installed, "openvino", "openvino")),
    Runtime("OpenCV dnn", opencv.open_file, partial(installed, "cv2", *_OPENCV)),
    Runtime("tract", sonos_tract.open_file, partial(installed, "tract", "tract")),
    Runtime("Apache TVM", apache_tvm.open_file, partial(installed, "tvm", "apache-tvm")),
    Runtime("ONNX Runtime Web", onnx_runtime_web.open_file, onnx_runtime_web.version),
    Runtime("ONNX reference", reference.open_file, partial(installed, "onnx", "onnx")),
)  # fmt: skip
