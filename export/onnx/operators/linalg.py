"""Products of matrices, vectors and arrays of more dimensions."""

from __future__ import annotations

from export.onnx.graph import Call, Tensor


def batch_dot(call: Call) -> str:
    """``batch_dot``, which multiplies the last two axes, as MatMul."""
    call.settings.only("forward_stype", None, "default")
    left, right = (_transposed(call, each, letter, each.rank) for each, letter in zip(call.inputs, "ab"))
    return call.add("MatMul", left, right)


def dot(call: Call) -> str:
    """``dot``, which sums over the last axis of the first input and the first of the second one, as MatMul."""
    call.settings.only("forward_stype", None, "default")
    (left, right), front = call.inputs, call.inputs[0].rank - 1
    first: Tensor | str = left
    if call.settings.flag("transpose_a", False) and front:  # then over the first axis
        first = call.add("Transpose", left, suffix="left", perm=[*range(1, left.rank), 0])
    second: Tensor | str = right
    sizes = right.shape[1:]
    if call.settings.flag("transpose_b", False) and right.rank > 1:  # then over the last
        second = call.add("Transpose", right, suffix="right", perm=[right.rank - 1, *range(right.rank - 1)])
        sizes = right.shape[:-1]
    if right.rank <= 2 and call.shape != (1,):
        return call.add("MatMul", first, second)
    if right.rank > 2:
        second = call.add("Reshape", second, call.integers("matrix", [0, -1]), suffix="matrix")
    product = call.add("MatMul", first, second, suffix="product")
    rest = [size if isinstance(size, int) else -1 for size in sizes]
    if rest.count(-1) > 1:
        raise call.refusal("two dimensions of its second input depend on the batch size")
    return call.add("Reshape", product, call.integers("shape", [0] * front + rest or [1]))


def syrk(call: Call) -> str:
    """``_linalg_syrk``, matrices times their transposes, as MatMul."""
    turned = call.add("Transpose", call.data, suffix="turned", perm=_swapped(call.data.rank))
    pair: list[Tensor | str] = [call.data, turned]
    left, right = pair[::-1] if call.settings.flag("transpose", False) else pair
    return call.add("MatMul", _scaled(call, left, "alpha"), right)


def gemm(call: Call) -> str:
    """``_linalg_gemm`` and ``_linalg_gemm2`` as MatMul, plus a third matrix if there is one."""
    rank = call.data.rank
    rows = call.axis(call.settings.integer("axis", -2))  # the axis of the rows; the columns are the last one's
    order = [*(axis for axis in range(rank - 1) if axis != rows), rows, rank - 1]
    inputs: list[Tensor | str] = list(call.inputs)
    if rows != rank - 2:
        inputs = [call.add("Transpose", each, suffix="ordered", perm=order) for each in inputs]
    left, right = (_transposed(call, each, letter, rank) for each, letter in zip(inputs, "ab"))
    left = _scaled(call, left, "alpha")
    back, adds = "product" if rows != rank - 2 else "", len(inputs) == 3
    result = call.add("MatMul", left, right, suffix="products" if adds else back)
    if adds:
        result = call.add("Add", result, _scaled(call, inputs[2], "beta"), suffix=back)
    if not back:
        return result
    return call.add("Transpose", result, perm=[order.index(axis) for axis in range(rank)])


def _transposed(call: Call, matrix: Tensor | str, letter: str, rank: int) -> Tensor | str:
    if not call.settings.flag(f"transpose_{letter}", False):
        return matrix
    return call.add("Transpose", matrix, suffix=f"{letter}_turned", perm=_swapped(rank))


def _swapped(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _scaled(call: Call, matrix: Tensor | str, key: str) -> Tensor | str:
    factor = call.settings.number(key, 1.0)
    return matrix if factor == 1 else call.add("Mul", matrix, call.number(key, factor), suffix=f"{key}_scaled")


OPERATORS = {
    "_linalg_gemm": gemm,
    "_linalg_gemm2": gemm,
    "_linalg_syrk": syrk,
    "batch_dot": batch_dot,
    "dot": dot,
}
