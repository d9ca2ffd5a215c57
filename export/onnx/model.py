"""The ONNX file: a translated graph with its inputs, outputs and metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export import inference
from export.inference import INPUT, InputShape
from export.onnx import DEFAULT_OPSET, ends, external_data, kernels
from export.onnx.checker import check, element, onnx_node, package
from export.onnx.graph import BATCH, OnnxGraph, Tensor
from export.onnx.int8 import calibration, writing
from export.onnx.options import Options, is_utf8
from export.onnx.translation import translate
from zoo import __version__
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.io import files, private
from zoo.models import params
from zoo.runtime import mx

if TYPE_CHECKING:
    import onnx

    from zoo.data import Dataset


def to_onnx(
    net: mx.gluon.HybridBlock,
    path: str | os.PathLike[str],
    input_shape: InputShape = INPUT_SHAPE,
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    softmax: bool = False,
    uint8: bool = False,
    metadata: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    int8: Dataset | np.ndarray | None = None,
    external: bool = False,
) -> Path:
    """Write ``net``, any hybridizable network, to ``path`` as an ONNX model for inference, and return the path.

    Its input ``data`` is ``("batch", *input_shape)`` float32, of any batch size unless ``batch`` fixes it. If
    ``input_shape`` maps names to shapes, these are the inputs, in the order in which ``net`` takes them. Its output is
    ``output``, for the zoo's networks ``("batch", 10)`` float32; several outputs keep their names, and ``outputs``
    gives others. Weights and operators keep their names, except for Gluon's suffix "_fwd".

    ``softmax`` appends a softmax, unless the network ends in one, and names the output ``probabilities``. With
    ``uint8``, the data are pixels from 0 to 255, which the graph divides by 255. ``metadata`` holds further
    ``metadata_props``, besides the hash of the weights and the versions. Casts inserted by MXNet's AMP are left out, as
    in MXNet's own export.

    ``int8`` makes a file that computes with 8-bit integers. It holds a few hundred items that the network was not
    trained on, as a data set or an array: what the network computes from them sets the ranges of the integers.

    With ``external``, or if the weights exceed the 2 GiB that one file can hold, they are in a second file beside it,
    which is named like the first with ".data" appended.

    Raises :class:`ZooError` if the package onnx is missing, if an operator or a setting cannot be translated, if a
    weight is not finite, or if the file cannot be written.
    """
    path = Path(path)
    options = Options(opset, batch, softmax, uint8, {} if metadata is None else metadata, outputs, int8, external)
    contents = encode(net, input_shape, options, path.name)
    files.write_together({files.output_file(path.parent / name): content for name, content in contents.items()})
    return path


def encode(
    net: mx.gluon.HybridBlock,
    input_shape: InputShape = INPUT_SHAPE,
    options: Options = Options(),
    name: str = "model.onnx",
) -> dict[str, bytes]:
    """Return the files that :func:`to_onnx` writes, by name, after ONNX's checker and shape inference passed."""
    inputs = inference.input_shapes(input_shape)
    options.check(inputs)
    source, state = inference.graph_of(net, inputs), inference.finite_state(net, inputs)
    arrays = {key.split(":", 1)[1]: params.widened(value) for key, value in state.items()}
    names = ends.names_of(source, {*arrays, *inputs}, options.softmax, options.outputs)
    add_softmax = ends.wants_softmax(source, options.softmax)
    plan = calibration.Plan({}, ())
    if options.int8 is not None:
        arrays, plan = calibration.prepare(source, arrays, inputs[INPUT], options.int8, options.uint8)
    batch = options.batch if options.batch is None else int(options.batch)  # onnx takes no integer of NumPy's
    translation = translate(source, arrays, inputs, batch, options.opset, names)
    graph = translation.graph
    if plan.layers:
        writing.write(translation, plan)
    outputs = ends.finish(translation, add_softmax, names)
    takers = [each.operator for each in graph.operations if INPUT in each.inputs]
    if options.uint8 and INPUT in plan.steps and takers == ["QuantizeLinear"]:
        writing.take_integers(graph)
    elif options.uint8:
        ends.scale(graph)
    facts = {
        "weights_sha256": files.hexdigest(params.encode(state)),
        "mxnet_version": mx.__version__,
        **options.metadata,
    }
    dtype = np.dtype(np.uint8 if options.uint8 else np.float32)
    data = [Tensor(key, (batch or BATCH, *shape), dtype) for key, shape in inputs.items()]
    kernels.check(graph, data)
    beside = external_data.taken(graph.initializers, options.external)
    return _files(_model(graph, data, outputs, net.name, facts), beside, name)


def _files(model: onnx.ModelProto, beside: dict[str, np.ndarray], name: str) -> dict[str, bytes]:
    """Return the checked files of ``model``, with the weights that belong ``beside`` it."""
    claim = "the network cannot be written as valid ONNX"
    if not beside:
        content = model.SerializeToString()
        check(content, claim)
        return {name: content}
    if not is_utf8(name):
        raise ZooError(f"an ONNX file names the file of its weights, and {name!r} has no form in UTF-8")
    weights = external_data.placed(model, beside, f"{name}.data")
    content = model.SerializeToString()
    with private.folder() as folder:
        files.write_together({folder / name: content, folder / f"{name}.data": b""})
        os.truncate(folder / f"{name}.data", len(weights))  # of weights, the checker reads only how many there are
        check(str(folder / name), claim)
    return {name: content, f"{name}.data": weights}


def _model(
    graph: OnnxGraph, inputs: list[Tensor], outputs: list[Tensor], name: str, facts: dict[str, str]
) -> onnx.ModelProto:
    onnx = package()
    nodes = [onnx_node(each) for each in graph.operations]
    opset = onnx.helper.make_opsetid("", graph.opset)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            name=name or "network",
            inputs=[_described(each) for each in inputs],
            outputs=[_described(each) for each in outputs],
            initializer=[onnx.numpy_helper.from_array(value, key) for key, value in graph.initializers.items()],
        ),
        opset_imports=[opset],
        ir_version=onnx.helper.find_min_ir_version_for([opset]),
        producer_name="mxnet-mnist-zoo",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, facts)
    return model


def _described(tensor: Tensor) -> onnx.ValueInfoProto:
    return package().helper.make_tensor_value_info(tensor.name, element(tensor.dtype), tensor.shape)
