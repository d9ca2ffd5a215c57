"""What ONNX Runtime computes in other dtypes than float32, where an ONNX file may hold more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.onnx.checker import onnx_node, package
from export.onnx.graph import OnnxGraph, Tensor

# In all of opsets 13 to 21, on CPUs.
_ANY_DTYPE = frozenset(
    "And Cast Concat DequantizeLinear Expand Flatten Gather GatherElements GatherND Identity Not Or Pad Reshape "
    "ReverseSequence ScatterElements ScatterND Shape Size Slice Split Squeeze Tile Transpose Unsqueeze Xor".split()
)
_NUMBERS = frozenset(
    "Abs ArgMax ArgMin Clip Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod ReduceMax ReduceMin Sign TopK "
    "Where".split()
)
_WIDE = frozenset("Add CumSum Div Einsum MatMul Mul Neg Pow Range ReduceMean ReduceProd ReduceSum Sub".split())
_FLOATS = frozenset(
    "BatchNormalization Ceil Cos DepthToSpace Exp Floor Gemm LayerNormalization Log LogSoftmax MaxPool "
    "Reciprocal Relu Sigmoid Sin Softmax SpaceToDepth Sqrt Sum Tanh".split()
)
_KNOWN = {
    "bool": _ANY_DTYPE | {"Equal", "Where"},
    "float64": _ANY_DTYPE | _NUMBERS | _WIDE | _FLOATS,
    "int32": _ANY_DTYPE | _NUMBERS | _WIDE,
    "int64": _ANY_DTYPE | _NUMBERS | _WIDE,
    "int8": _ANY_DTYPE | _NUMBERS | {"MaxPool"},
    "uint8": _ANY_DTYPE | _NUMBERS | {"MaxPool"},
}


# The first input decides, but for these.
_DECIDING = {"Where": 1}


def check(graph: OnnxGraph, inputs: Sequence[Tensor]) -> None:
    """Raise :class:`~zoo.errors.ZooError` if ONNX Runtime does not compute an operation of ``graph`` in its dtype.

    It computes float16 in float32 and leaves out casts to it and back.
    """
    found = _dtypes(graph, inputs)
    for operation in graph.operations:
        taken = operation.inputs[_DECIDING.get(operation.operator, 0)] if operation.inputs else ""
        if operation.origin is None or np.dtype(np.float32) == found.get(taken) == found.get(operation.outputs[0]):
            continue
        if np.dtype(np.float16) in (found.get(taken), found.get(operation.outputs[0])):
            raise operation.origin.refusal(
                "ONNX Runtime computes float16 in float32, with other results: leave it in float32"
            )
        dtype = found.get(taken, np.dtype(np.float32))
        if dtype != np.float32 and operation.operator not in _KNOWN.get(dtype.name, ()):
            raise operation.origin.refusal(
                f"ONNX Runtime has no {operation.operator} of {dtype}: compute it in float32"
            )


def _dtypes(graph: OnnxGraph, inputs: Sequence[Tensor]) -> dict[str, np.dtype]:
    """Return the dtypes of the tensors of ``graph``, which ONNX infers without the values of the weights."""
    onnx = package()
    helper = onnx.helper
    known = {each.name: (each.dtype, each.shape) for each in inputs}
    known.update({name: (value.dtype, value.shape) for name, value in graph.initializers.items()})
    described = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
        for name, (dtype, shape) in known.items()
    ]
    nodes = [onnx_node(each) for each in graph.operations]
    skeleton = helper.make_model(
        helper.make_graph(nodes, "dtypes", described, []), opset_imports=[helper.make_opsetid("", graph.opset)]
    )
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph.value_info
    return {
        each.name: helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
        for each in (*described, *inferred)
        if each.type.tensor_type.elem_type
    }
