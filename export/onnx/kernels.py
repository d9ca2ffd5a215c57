"""What ONNX Runtime computes in other dtypes than float32, where an ONNX file may hold more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.onnx.graph import Call, Operation

# In all of opsets 13 to 21, on CPUs.
_ANY_DTYPE = frozenset(
    "And Cast Concat ConstantOfShape Expand Flatten Gather GatherElements GatherND Identity Not Or Pad Reshape "
    "ReverseSequence ScatterElements ScatterND Shape Size Slice Split Squeeze Tile Transpose Unsqueeze Xor".split()
)
_NUMBERS = frozenset(
    "Abs ArgMax ArgMin Clip Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod ReduceMax ReduceMin Sign TopK "
    "Where".split()
)
_WIDE = frozenset(
    "Add CumSum Div Einsum MatMul Mul Neg Pow Range ReduceL1 ReduceL2 ReduceMean ReduceProd ReduceSum Sub Trilu".split()
)
_FLOATS = frozenset(
    "BatchNormalization Ceil Cos DepthToSpace Exp Floor Gemm IsInf IsNaN LayerNormalization Log LogSoftmax MaxPool "
    "Reciprocal Relu Round Sigmoid Sin Softmax SpaceToDepth Sqrt Sum Tanh".split()
)
_KNOWN = {
    "bool": _ANY_DTYPE,
    "float64": _ANY_DTYPE | _NUMBERS | _WIDE | _FLOATS,
    "int32": _ANY_DTYPE | _NUMBERS | _WIDE | {"OneHot"},
    "int64": _ANY_DTYPE | _NUMBERS | _WIDE | {"OneHot"},
    "int8": _ANY_DTYPE | _NUMBERS,
    "uint8": _ANY_DTYPE | _NUMBERS,
}


def check(call: Call, operations: Sequence[Operation]) -> None:
    """Raise :class:`~zoo.errors.ZooError` if ONNX Runtime does not compute ``operations`` in the dtypes of ``call``.

    It computes float16 in float32 and leaves out casts to it and back.
    """
    dtypes = {np.dtype(each.dtype) for each in call.inputs[:1]} | {np.dtype(dtype) for _, dtype in call.outputs}
    for dtype in sorted(dtypes - {np.dtype(np.float32)}, key=str):
        missing = [each.operator for each in operations if each.operator not in _KNOWN.get(dtype.name, ())]
        if missing and dtype == np.float16:
            raise call.refusal("ONNX Runtime computes float16 in float32, with other results: leave it in float32")
        if missing:
            raise call.refusal(f"ONNX Runtime has no {missing[0]} of {dtype}: compute it in float32")
