"""The devices and the dtype that a network computes in: decided once per command or call, and passed down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from zoo import kernels
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.ir import Graph, has_numpy_arrays, symbol_of
from zoo.graph.passes import casting, convolutions
from zoo.graph.shapes import infer
from zoo.runtime import contexts, isa, mx
from zoo.runtime.dtypes import DTYPES, INFERENCE_DTYPES

FLOAT32, BFLOAT16, FLOAT16, INT8 = "float32", "bfloat16", "float16", "int8"


@dataclass(frozen=True)
class Execution:
    """The devices, the dtype, and whether this project's kernels replace MXNet's operators."""

    contexts: tuple[mx.Context, ...]
    dtype: str  # one of INFERENCE_DTYPES; parameters are always float32
    kernels: bool  # CPUs only: they compute float32, and what surrounds the layers in bfloat16
    amx: bool  # CPUs with AMX only: they also compute the layers in bfloat16

    @classmethod
    def of(cls, net: mx.gluon.HybridBlock, ctx: Placement = None, dtype: str = FLOAT32) -> Execution:
        """Decide how to compute ``net`` on ``ctx`` (None: ``cpu(0)``) in ``dtype``, or "auto" for the faster one here.

        "auto" is bfloat16 where the kernels for AMX compute all convolutions and fully connected layers, and at least
        half of what they compute is no padding of layers with few channels; elsewhere, it is float32. It is never
        float16, which MXNet has on GPUs only and which only some GPUs compute faster. If ``ctx`` is an execution, it is
        returned unchanged. Raises :class:`ZooError` for contexts and dtypes that do not work here.
        """
        if isinstance(ctx, Execution):
            return ctx
        placed = contexts.check(ctx)
        check_interface(net)
        if dtype == "auto":
            dtype = BFLOAT16 if _has_amx(placed) and _suits_amx(net) else FLOAT32
        check(dtype, placed)
        return cls(tuple(placed), dtype, _has_kernels(placed), _has_amx(placed))

    @property
    def on_cpu(self) -> bool:
        """Whether all contexts are CPUs."""
        return _are_all(self.contexts, "cpu")

    def __str__(self) -> str:
        by = "operators of MXNet"
        if self.kernels:
            by = f"kernels compiled for this processor{', AMX among them' if self.amx else ''}"
        return f"{self.dtype} on {', '.join(map(str, self.contexts))}, {by}"


Placement = Union[Execution, "mx.Context", Sequence["mx.Context"], str, None]


def check(dtype: str, placed: Sequence[mx.Context]) -> None:
    """Raise :class:`ZooError` if ``dtype`` is unknown, or does not work on one of the contexts."""
    obstacle = _obstacle(dtype, placed)
    if obstacle is not None:
        raise ZooError(obstacle)


def check_interface(net: mx.gluon.HybridBlock) -> None:
    """Raise :class:`ZooError` for a network of MXNet's NumPy interface."""
    if has_numpy_arrays(net):
        raise ZooError(
            "a network of MXNet's NumPy interface can be exported, and neither trained nor compiled: build it anew "
            "after npx.reset_np()"
        )


def possible_dtypes(placed: Sequence[mx.Context]) -> tuple[str, ...]:
    """Return the dtypes that work on these contexts; int8 is for inference only."""
    return tuple(dtype for dtype in INFERENCE_DTYPES if _obstacle(dtype, placed) is None)


def fast_dtypes(placed: Sequence[mx.Context]) -> tuple[str, ...]:
    """Return the dtypes worth measuring on these contexts: float32, and the one that this project's kernels are for."""
    return (FLOAT32, BFLOAT16) if _has_amx(placed) else (FLOAT32,)


def _obstacle(dtype: str, placed: Sequence[mx.Context]) -> str | None:
    if dtype not in INFERENCE_DTYPES:
        return f"the dtype must be one of auto, {', '.join(DTYPES)}, not {dtype!r}"
    if dtype == INT8 and list(placed) != [mx.cpu(0)]:
        return f"int8 runs on cpu(0) only, not on {', '.join(map(str, placed))}"
    if dtype == BFLOAT16 and not _are_all(placed, "cpu"):
        return "bfloat16 runs on CPUs only: take float32 on a GPU"
    if dtype == FLOAT16 and not _are_all(placed, "gpu"):
        return "float16 runs on GPUs only: take float32 on a CPU"
    if dtype == BFLOAT16 and "avx512bw" not in isa.flags():
        return "bfloat16 needs a processor with AVX-512: take float32 here"
    return None


def _are_all(placed: Sequence[mx.Context], device_type: str) -> bool:
    return all(context.device_type == device_type for context in placed)


def _has_kernels(placed: Sequence[mx.Context]) -> bool:
    return _are_all(placed, "cpu") and kernels.available().usable


def _has_amx(placed: Sequence[mx.Context]) -> bool:
    return _are_all(placed, "cpu") and kernels.available().convolution


def _suits_amx(net: mx.gluon.HybridBlock) -> bool:
    graph = Graph.of(symbol_of(net))
    shapes = infer(graph, {"data": (1, *INPUT_SHAPE)})
    if convolutions.share_of_use(graph, shapes) < 0.5:
        return False
    decisions = convolutions.lower(graph, {name: len(found[0]) for name, found in shapes.items()})
    return any(each.is_done for each in decisions) and not {node.operator for node in graph.nodes()} & casting.LAYERS
