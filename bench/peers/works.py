"""What is compared with whom, and the targets: all of it plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from zoo.models.architectures import MODELS

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


_REPORT = Work("train", "cnn7", 200)  # the report has only this network and this batch size
_SMALL = 10**6  # operations for an image: below that, calls take as long as the network's work
BATCH_SIZES = (200, 32)  # for inference, beside single images


def targets(model: str) -> tuple[Target, ...]:
    """Return the rows of a model, the same for every model: what they want depends on the processor and its cost."""
    from zoo.models import get_card
    from zoo.runtime import isa

    wide = "avx512f" in isa.flags()
    alike = {"at_least": 1.2, "stretch": 2.5} if wide else {"at_least": 1.0, "stretch": 2.0}  # in float32 on both sides
    train = Work("train", model, MODELS[model].recipe.batch_size)
    many, some = (Work("infer", model, size) for size in BATCH_SIZES)
    one = Work("infer", model, 1, waited=True)
    latency = 2.0 if get_card(model).flops < _SMALL else 1.2
    in_float32 = "* float32*"
    rows = (
        Target(train, "PyTorch in float32", "PyTorch float32*", **alike, ours="float32"),
        Target(train, "PyTorch at its best", "PyTorch *", 1.5, 3.0),
        Target(many, "the best in float32", in_float32, **alike, ours="float32"),
        Target(many, "the best of any dtype", "*", 1.0, 2.0),
        Target(some, "the best in float32", in_float32, ours="float32"),
        Target(one, "the best in float32", in_float32, latency, 3.0, ours="float32"),
        Target(one, "the best of any dtype", "*", 1.0, 2.0),
    )
    return (*rows, Target(train, REPORT, REPORT, 4.0)) if train == _REPORT else rows


def configurations(work: Work, compiled: bool = False) -> list[Configuration]:
    """Return the sides that can do ``work`` on this processor; ``compiled`` adds some that take a minute to prepare."""
    from zoo.graph.execution import possible_dtypes
    from zoo.runtime import contexts  # imports MXNet, which reports on older comparisons do not need

    possible = possible_dtypes(contexts.parse("cpu"))
    ours = [dtype for dtype in _OUR_DTYPES[work.phase] if dtype in possible]
    sides = [Configuration(f"{OURS}, {dtype}", "ours", dtype) for dtype in ours]
    if work == _REPORT:
        sides.append(Configuration(REPORT, "report_loop"))
    sides += _torch(work, compiled)
    if work.phase == "infer":
        direct = [dtype for dtype in ours if dtype != "int8"]
        sides += [Configuration(f"{OURS}, compiled, {dtype}", "compiled_program", dtype) for dtype in direct]
        sides.append(Configuration("ONNX Runtime float32", "onnx_runtime", requires=_ONNX_RUNTIME))
        sides += _openvino(work)
    return sides


def relevant(targets: Iterable[Target], configuration: Configuration) -> bool:
    """Whether one of the ``targets`` compares ``configuration`` with anything."""
    return any(target.compares(configuration) for target in targets)


def is_quick(target: Target) -> bool:
    """Whether a quick comparison has this row: training, many images and single ones, all in float32."""
    return target.ours == "float32" and target.at_least is not None


def is_first(configuration: Configuration) -> bool:
    """Whether a quick comparison has this side: in float32, neither in streams nor compiled by torch.compile."""
    is_plain = configuration.hint == "LATENCY" and not configuration.compiled and configuration.name != REPORT
    return configuration.dtype == "float32" and is_plain


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
