"""Reductions of MXNet's NumPy interface, which may put out a number instead of an array."""

from __future__ import annotations

from collections.abc import Callable

from export.onnx.graph import Call
from export.onnx.parts import norm_of, reduced


def _reduction(operator: str) -> Callable[[Call], str]:
    """Reductions along axes, or of everything to a number."""

    def translate(call: Call) -> str:
        return reduced(call, operator, call.data, _axes(call), call.settings.flag("keepdims", False))

    return translate


def _axes(call: Call) -> list[int]:
    call.settings.only("initial", None)
    call.settings.only("dtype", None, "float32")
    given = call.settings.get("axis")
    axes = call.settings.integers("axis", tuple(range(call.data.rank)))
    if given == () or call.data.dtype != call.outputs[0][1]:
        raise call.refusal("it reduces no axis" if given == () else f"its data are {call.data.dtype}")
    return sorted(call.axis(axis) for axis in axes)


def variance(call: Call) -> str:
    """``_npi_var`` and ``_npi_std``: the mean square of the distances from the mean, and its root."""
    axes, keep = _axes(call), call.settings.flag("keepdims", False)
    call.settings.only("ddof", 0)
    mean = reduced(call, "ReduceMean", call.data, axes, True, "mean")
    distance = call.add("Sub", call.data, mean, suffix="distance")
    square = call.add("Mul", distance, distance, suffix="square")
    is_root = call.operator == "_npi_std"
    mean = reduced(call, "ReduceMean", square, axes, keep, "variance" * is_root)
    return call.add("Sqrt", mean) if is_root else mean


def norm(call: Call) -> str:
    """``_npi_norm`` as sums; norms of matrices other than Frobenius' are refused."""
    settings = call.settings
    order, flag, axis = settings.number("ord", 2.0), settings.integer("flag", -1), settings.integers("axis")
    keep = settings.flag("keepdims", False)
    is_of_vectors = flag == -1 and axis is not None and len(axis) == 1 and order in (1, 2)
    if not is_of_vectors and flag not in (-2, 1):  # -2: of all elements, 1: Frobenius'
        raise call.refusal(f"there is no translation of ord={order:g} with axis={axis}")
    axes = sorted(call.axis(each) for each in (range(call.data.rank) if axis is None else axis))
    return norm_of(call, order, lambda data, suffix: reduced(call, "ReduceSum", data, axes, keep, suffix))


def cumulative_sum(call: Call) -> str:
    """``_np_cumsum`` along an axis as CumSum."""
    axis = call.settings.get("axis")
    call.settings.only("dtype", None, "float32")
    if not isinstance(axis, int) or call.data.dtype != call.outputs[0][1]:
        raise call.refusal("it is translated along an axis, of floats")
    return call.add("CumSum", call.data, call.constant("axis", call.axis(axis), "int64"))


OPERATORS: dict[str, Callable[[Call], str]] = {
    "_np_cumsum": cumulative_sum,
    "_np_max": _reduction("ReduceMax"),
    "_np_min": _reduction("ReduceMin"),
    "_np_prod": _reduction("ReduceProd"),
    "_np_sum": _reduction("ReduceSum"),
    "_npi_mean": _reduction("ReduceMean"),
    "_npi_norm": norm,
    "_npi_std": variance,
    "_npi_var": variance,
}
