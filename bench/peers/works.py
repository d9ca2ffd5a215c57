"""What is compared with whom, and the targets: all of it plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

OURS = "this project"
REPORT = "the report's loop, default MXNet"
_OUR_DTYPES = {"train": ("float32", "bfloat16"), "infer": ("float32", "bfloat16", "int8")}
_TORCH, _ONNX_RUNTIME, _OPENVINO = ("torch",), ("onnxruntime", "onnx"), ("openvino", "onnx")


@dataclass(frozen=True)
class Work:
    """Work that every side does in the same way."""

    phase: str  # one of bench.cells.PHASES
    model: str
    batch_size: int
    waited: bool = False  # wait for each batch before starting the next, which shows its latency

    def __str__(self) -> str:
        return f"{self.phase} {self.model}, batch {self.batch_size}{' (latency)' if self.waited else ''}"


@dataclass(frozen=True)
class Configuration:
    """One side: a program and its settings."""

    name: str  # unique among the sides of a piece of work
    module: str  # of bench.sides
    dtype: str = "float32"
    requires: tuple[str, ...] = ()  # packages, beyond those that the zoo itself needs
    layout: str = "contiguous"  # PyTorch's: contiguous or channels_last
    compiled: bool = False  # by torch.compile
    hint: str = "LATENCY"  # OpenVINO's PERFORMANCE_HINT

    @property
    def is_ours(self) -> bool:
        """Whether this project does the work."""
        return self.module in ("ours", "compiled_program")


@dataclass(frozen=True)
class Target:
    """One row of the table: this project's best side against the best of those that match ``peers``."""

    work: Work
    against: str
    peers: str  # shell pattern of their names
    at_least: float | None = None  # times as fast
    stretch: float | None = None
    ours: str = "*"  # shell pattern of this project's dtypes

    def __str__(self) -> str:
        return f"{self.work}" if self.ours == "*" else f"{self.ours} only: {self.work}"

    def compares(self, configuration: Configuration) -> bool:
        """Whether ``configuration`` may be one of the two sides of this row."""
        if configuration.is_ours:
            return fnmatchcase(configuration.dtype, self.ours)
        return fnmatchcase(configuration.name, self.peers)


_TRAIN_CNN7, _TRAIN_MLP = Work("train", "cnn7", 200), Work("train", "mlp", 100)
_INFER_CNN7, _LATENCY = Work("infer", "cnn7", 200), Work("infer", "cnn7", 1, waited=True)

TARGETS = (
    Target(_TRAIN_CNN7, REPORT, REPORT, 4.0),
    Target(_TRAIN_CNN7, "the best PyTorch configuration", "PyTorch *", 1.5, stretch=2.0),
    Target(_TRAIN_MLP, "PyTorch eager, float32", "PyTorch float32", 1.0),
    Target(_INFER_CNN7, "ONNX Runtime, float32", "ONNX Runtime float32", 3.0),
    Target(_INFER_CNN7, "OpenVINO at its best", "OpenVINO *", 1.0),
    Target(_LATENCY, "ONNX Runtime, float32", "ONNX Runtime float32", 1.0),
    Target(_TRAIN_CNN7, "the best PyTorch configuration in float32", "PyTorch float32*", 1.2, ours="float32"),
)


def comparisons(model: str, batch_size: int) -> tuple[Target, ...]:
    """Return rows for any model, without targets."""
    train, infer = Work("train", model, batch_size), Work("infer", model, batch_size)
    return (
        Target(train, "the best PyTorch configuration", "PyTorch *"),
        Target(infer, "the best PyTorch configuration", "PyTorch *"),
        Target(infer, "ONNX Runtime, float32", "ONNX Runtime float32"),
        Target(infer, "OpenVINO at its best", "OpenVINO *"),
        Target(Work("infer", model, 1, waited=True), "ONNX Runtime, float32", "ONNX Runtime float32"),
    )


def configurations(work: Work, compiled: bool = False) -> list[Configuration]:
    """Return the sides that can do ``work`` on this processor; ``compiled`` adds some that take a minute to prepare."""
    from zoo.graph.execution import possible_dtypes
    from zoo.runtime import contexts  # imports MXNet, which reports on older comparisons do not need

    possible = possible_dtypes(contexts.parse("cpu"))
    ours = [dtype for dtype in _OUR_DTYPES[work.phase] if dtype in possible]
    sides = [Configuration(f"{OURS}, {dtype}", "ours", dtype) for dtype in ours]
    if work == _TRAIN_CNN7:  # the report has only this network and this batch size
        sides.append(Configuration(REPORT, "report_loop"))
    sides += _torch(work, compiled)
    if work.phase == "infer":
        sides.append(Configuration(f"{OURS}, compiled", "compiled_program"))
        sides.append(Configuration("ONNX Runtime float32", "onnx_runtime", requires=_ONNX_RUNTIME))
        sides += _openvino(work)
    return sides


def relevant(targets: Iterable[Target], configuration: Configuration) -> bool:
    """Whether one of the ``targets`` compares ``configuration`` with anything."""
    return any(target.compares(configuration) for target in targets)


def _torch(work: Work, compiled: bool) -> list[Configuration]:
    layouts = ("contiguous",) if work.model.startswith("mlp") else ("contiguous", "channels_last")
    eager = [(dtype, layout) for dtype in ("float32", "bfloat16") for layout in layouts]
    if work.waited:  # the faster ones for one image at a time
        eager = [("float32", "contiguous"), ("bfloat16", layouts[-1])]
    settings = [(*each, False) for each in eager]
    if compiled:
        settings += [(dtype, layouts[-1], True) for dtype in ("float32", "bfloat16")]
    return [
        Configuration(
            f"PyTorch {dtype}" + f", {layout}" * (layout != "contiguous") + ", compiled" * by_compiler,
            "pytorch", dtype, _TORCH, layout, by_compiler,
        )
        for dtype, layout, by_compiler in settings
    ]  # fmt: skip


def _openvino(work: Work) -> list[Configuration]:
    hints = ("LATENCY",) if work.waited else ("LATENCY", "THROUGHPUT")
    return [
        Configuration(
            f"OpenVINO {dtype}" + ", streams" * (hint != "LATENCY"), "openvino_runtime", dtype, _OPENVINO, hint=hint
        )
        for dtype in ("float32", "bfloat16")
        for hint in hints
    ]
