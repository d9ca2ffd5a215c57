"""The ONNX file: a translated graph with its inputs, outputs and metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from export import inference
from export.inference import INPUT, InputShape
from export.onnx import DEFAULT_OPSET
from export.onnx.graph import BATCH, OnnxGraph, Tensor
from export.onnx.int8 import calibration, writing
from export.onnx.translation import Translation, translate
from zoo import __version__
from zoo.errors import ZooError
from zoo.graph import heads
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.ir import Graph
from zoo.io import files
from zoo.models import params
from zoo.runtime import mx

if TYPE_CHECKING:
    import onnx

    from zoo.data import Dataset

OPSETS = range(13, 22)
_NO_SOFTMAX = "softmax is for networks with one output of two dimensions"
_SIGMOIDS = ("_npx_sigmoid", "sigmoid")
_LARGEST = 2**31 - 2**20  # bytes: the most that protobuf can write as one message


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

    Raises :class:`ZooError` if the package onnx is missing, if an operator or a setting cannot be translated, if a
    weight is not finite, or if the file cannot be written.
    """
    content = encode(net, input_shape, opset, batch, softmax, uint8, metadata, outputs, int8)
    path = files.output_file(Path(path))
    files.write_together({path: content})
    return path


def encode(
    net: mx.gluon.HybridBlock,
    input_shape: InputShape = INPUT_SHAPE,
    opset: int = DEFAULT_OPSET,
    batch: int | None = None,
    softmax: bool = False,
    uint8: bool = False,
    metadata: Mapping[str, str] | None = None,
    outputs: Sequence[str] | None = None,
    int8: Dataset | np.ndarray | None = None,
) -> bytes:
    """Return the content of the file that :func:`to_onnx` writes, after ONNX's checker and shape inference passed."""
    onnx = package()
    newest = min(OPSETS[-1], onnx.defs.onnx_opset_version())
    if not inference.is_whole(opset) or opset not in range(OPSETS[0], newest + 1):
        raise ZooError(f"an ONNX file is written with an opset from {OPSETS[0]} to {newest}, not {opset}")
    if batch is not None and not (inference.is_whole(batch) and 1 <= batch < 2**31):
        raise ZooError(f"the batch size must be at least 1 and below 2**31, not {batch}")
    batch = batch if batch is None else int(batch)  # onnx takes no integer of NumPy's
    metadata = {} if metadata is None else metadata
    pairs = metadata.items() if isinstance(metadata, Mapping) else [(metadata, None)]
    if not all(isinstance(each, str) and _is_utf8(each) for pair in pairs for each in pair):
        raise ZooError("the metadata of an ONNX file must map strings to strings, and all must have a form in UTF-8")
    inputs = inference.input_shapes(input_shape)
    if list(inputs) != [INPUT] and (uint8 or int8 is not None):
        kind = "uint8" if uint8 else "int8"
        raise ZooError(f"{kind} is for networks with one input named {INPUT}, and this has {', '.join(inputs)}")
    source, state = inference.graph_of(net, inputs), inference.finite_state(net, inputs)
    arrays = {name.split(":", 1)[1]: params.widened(value) for name, value in state.items()}
    size = sum(value.nbytes for value in arrays.values())
    if size > _LARGEST:
        raise ZooError(f"an ONNX file holds 2 GiB at most, and these weights are {size / 2**30:.1f} GiB")
    reserved = _names(source, {*arrays, *inputs}, softmax, outputs)
    add_softmax = softmax and not heads.are_probabilities(source)
    if add_softmax and heads.origin(source.heads[0]).operator in _SIGMOIDS:
        raise ZooError("the network ends in a sigmoid, over which no softmax belongs: its outputs are probabilities")
    plan = calibration.Plan({}, ())
    if int8 is not None:
        arrays, plan = calibration.prepare(source, arrays, inputs[INPUT], int8, uint8)
    translation = translate(source, arrays, inputs, batch, opset, reserved)
    if plan.layers:
        writing.write(translation, plan)
    named = _finish(translation, add_softmax, reserved)
    if uint8 and INPUT in plan.steps:
        writing.take_integers(translation.graph)
    elif uint8:
        _scale(translation.graph)
    facts = {
        "weights_sha256": files.hexdigest(params.encode(state)),
        "mxnet_version": mx.__version__,
        **metadata,
    }
    dtype = np.dtype(np.uint8 if uint8 else np.float32)
    data = [Tensor(name, (batch or BATCH, *shape), dtype) for name, shape in inputs.items()]
    model = _model(translation.graph, data, named, net.name, facts)
    content = model.SerializeToString()
    check(content, "the network cannot be written as valid ONNX")
    return content


def _is_utf8(text: str) -> bool:
    return text.encode(errors="replace").decode() == text


def check(content: bytes, claim: str) -> None:
    """Run ONNX's full checker with strict shape inference; :class:`ZooError` has ``claim`` and what it found."""
    onnx = package()
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ZooError(f"{claim}: {lines[0]}") from None


def package() -> ModuleType:
    """Import the package onnx, an extra; raises :class:`ZooError` if it is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError as error:
        raise ZooError(f"writing ONNX files needs the package onnx ({error}): pip install '.[onnx]'") from None
    return onnx


def _names(source: Graph, taken: set[str], softmax: bool, outputs: Sequence[str] | None) -> list[str]:
    """Return the names of the outputs: those given, "probabilities" or "output", or empty if several keep theirs."""
    count = len(source.heads)
    if softmax and count != 1:
        raise ZooError(_NO_SOFTMAX)
    if outputs is None:
        return [] if count > 1 else ["probabilities" if softmax else "output"]
    names = [each for each in outputs if isinstance(each, str) and each] if isinstance(outputs, (list, tuple)) else []
    if len(names) != count or len({*names}) < count:
        raise ZooError(f"the network has {count} outputs, which need as many different names, not {str(outputs)[:60]}")
    if taken & {*names}:
        raise ZooError(f"{min(taken & {*names})} is the name of an input or a weight, and cannot be that of an output")
    return names


def _finish(translation: Translation, add_softmax: bool, names: list[str]) -> list[Tensor]:
    """Give the outputs their ``names``, or keep those they have, after a softmax if requested; returns them."""
    graph, outputs = translation.graph, translation.outputs
    if add_softmax:
        if outputs[0].rank != 2:
            raise ZooError(_NO_SOFTMAX)
        graph.add("Softmax", outputs, names, axis=-1)
        return [Tensor(names[0], outputs[0].shape, outputs[0].dtype)]
    produced = {name for operation in graph.operations for name in operation.outputs}
    found: list[Tensor] = []
    done: dict[str, str] = {}  # tensors that are outputs already, with their names as such
    for number, tensor in enumerate(outputs):
        name = names[number] if names else tensor.name
        if tensor.name in done or tensor.name not in produced:  # the same output twice, or the data themselves
            name = name if names else graph.unique(f"{tensor.name}_output")
            graph.add("Identity", [done.get(tensor.name, tensor)], [name])
        else:
            graph.rename(tensor.name, name)
            done[tensor.name] = name
        found.append(Tensor(name, tensor.shape, tensor.dtype))
    return found


def _scale(graph: OnnxGraph) -> None:
    """Take pixels from 0 to 255, and divide them by 255 before everything else."""
    pixels, scaled = graph.unique("pixels"), graph.unique("scaled")
    for operation in graph.operations:
        operation.inputs = [scaled if name == INPUT else name for name in operation.inputs]
    count = len(graph.operations)
    graph.add("Cast", [INPUT], [pixels], to=np.dtype(np.float32))
    scale = graph.constant("scale", np.array(1 / 255, np.float32))  # a factor, as in training, for the same bits
    graph.add("Mul", [pixels, scale], [scaled])
    graph.operations = graph.operations[count:] + graph.operations[:count]


def _model(
    graph: OnnxGraph, inputs: list[Tensor], outputs: list[Tensor], name: str, facts: dict[str, str]
) -> onnx.ModelProto:
    onnx = package()
    nodes = []
    for each in graph.operations:
        attributes = {
            key: _element(value) if isinstance(value, np.dtype) else value
            for key, value in each.attributes.items()
            if value is not None
        }
        nodes.append(onnx.helper.make_node(each.operator, each.inputs, each.outputs, name=each.name, **attributes))
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
    return package().helper.make_tensor_value_info(tensor.name, _element(tensor.dtype), tensor.shape)


def _element(dtype: np.dtype) -> int:
    return package().helper.np_dtype_to_tensor_dtype(dtype)
