"""Constants that an ONNX graph computes, such as shapes, by ONNX's reference."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from export.onnx.checker import package
from export.onnx.importing.graph import Refusal, Tensor
from export.onnx.importing.source import Operation, first_line

# One tensor in another order or form: a weight of any size.
_MOVES = {"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
# Small tensors, so that a file cannot make large ones from little.
_SMALL = {
    "Add", "Concat", "ConstantOfShape", "Div", "Equal", "Floor", "Gather", "Mul", "Neg", "ReduceProd", "Sqrt", "Sub",
    "Where",
}  # fmt: skip
_MOST_ELEMENTS = 512
# Of a first input that depends on the batch size, or of any: the results are multiples of its powers, or do not depend
# on it. Two batch sizes tell these apart, which they do not for differences, or for what is looked up in a table.
_OF_FIRST, _OF_ANY = {"Cast", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}, {"Concat", "Mul"}
_LITERALS = {"value", "value_float", "value_floats", "value_int", "value_ints"}


def is_known(operator: str) -> bool:
    """Whether :func:`values` can compute the operator for some inputs."""
    return operator in _MOVES | _SMALL | {"Constant", "Shape", "Size"}


def is_move(operator: str) -> bool:
    """Whether the operator puts out one tensor in another order or form: a weight remains that weight."""
    return operator in _MOVES


def values(operation: Operation, inputs: Sequence[Tensor | None], opset: int, count: int) -> list[np.ndarray] | None:
    """Return the values of the output, one for each of the ``count`` batch sizes; None if it is no constant."""
    if operation.operator == "Constant":
        return [_literal(operation)] * count
    given = [each for each in inputs if each is not None]
    if operation.operator in ("Shape", "Size") and len(given) == 1:
        begin, end = operation.attributes.get("start", 0), operation.attributes.get("end")
        shapes = [np.array(shape, dtype=np.int64) for shape in given[0].shapes]
        return [shape[begin:end] if operation.operator == "Shape" else np.asarray(shape.prod()) for shape in shapes]
    if not given or not all(each.is_constant for each in given) or len(operation.outputs) != 1:
        return None
    depends = [each.depends for each in given]
    sets = list(zip(*(each.values or () for each in given)))
    if not _is_foldable(operation.operator, sets[0], depends):
        return None
    try:
        if not any(depends):
            return [_fold(operation, sets[0], opset)] * count
        return [_fold(operation, each, opset) for each in sets]
    except Exception as error:  # ONNX's reference has its own for every operator
        raise Refusal(f"its constants do not go together: {first_line(error)}") from None


def _literal(operation: Operation) -> np.ndarray:
    ((key, value),) = operation.attributes.items()
    if key not in _LITERALS:
        raise Refusal(f"there is no translation of {key}")
    return np.asarray(value, {"value_f": np.float32, "value_i": np.int64}.get(key[:7]))


def _is_foldable(operator: str, inputs: Sequence[np.ndarray], depends: Sequence[bool]) -> bool:
    """Whether :func:`_fold` may compute it; ``depends`` says which inputs depend on the batch size."""
    if any(depends) and operator not in (_OF_ANY if any(depends[1:]) else _OF_ANY | _OF_FIRST):
        return False
    if operator == "ConstantOfShape":
        (shape,) = inputs
        return shape.size <= 8 and 0 <= np.prod(shape.astype(float)) <= _MOST_ELEMENTS
    return operator in _MOVES or (operator in _SMALL and sum(each.size for each in inputs) <= _MOST_ELEMENTS)


def _fold(operation: Operation, inputs: Sequence[np.ndarray], opset: int) -> np.ndarray:
    """Compute the output of ``operation`` from the values of its ``inputs``, None where one is left out."""
    onnx = package()
    from onnx.reference import ReferenceEvaluator

    attributes = {
        key: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in operation.attributes.items()
    }
    names = [name and f"input_{number}" for number, name in enumerate(operation.inputs)]
    node = onnx.helper.make_node(operation.operator, names, ["output"], **attributes)
    graph = onnx.helper.make_graph(
        [node], "it",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names if name],
        [onnx.helper.make_value_info("output", onnx.TypeProto())],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        (output,) = ReferenceEvaluator(model).run(None, dict(zip(filter(None, names), inputs)))
    return np.asarray(output)
