"""Whether a compiled C file computes what MXNet computes, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import numpy as np
from tabulate import tabulate

from export import expected, feeding, parity, runtimes, verification
from export.c import program
from export.c.emit import Source
from export.onnx import model as onnx_model
from export.onnx.options import Options
from zoo.errors import ZooError
from zoo.graph.heads import LOGITS, output_kind
from zoo.io import temporary
from zoo.runtime import mx

_OTHERS = 0.005  # of the predictions of 8-bit integers; one may always be another
_ROUNDS, _MILLISECONDS = 9, 20.0  # of timing
_TIMED = 100  # items, in turn


@dataclass(frozen=True)
class Checked:
    """The comparison as a table, and what differs too much; None if nothing does."""

    table: str
    failure: str | None

    def __str__(self) -> str:
        return self.table


def check(
    net: mx.gluon.HybridBlock, source: Source, items: np.ndarray, labels: np.ndarray | None, softmax: bool, int8: bool,
    compiler: list[str],
) -> Checked:  # fmt: skip
    """Compile ``source`` and compare it with ``net`` on ``items``: uint8 pixels if it takes them, floats otherwise."""
    outputs = verification.expected_outputs(net, items)[0]
    if softmax and output_kind(net) == LOGITS:
        outputs = mx.nd.array(outputs).softmax().asnumpy()
    if not np.isfinite(outputs).all():
        raise ZooError("the network's outputs for these data are not finite, so that nothing can be compared with them")
    kind = "uint8_t" if items.dtype == np.uint8 else "float"
    flat = outputs.reshape(len(items), -1)
    with program.compiled(source, kind, flat.shape[1], compiler) as run:
        computed, _ = run(items, 0.0)
        timed = items[:_TIMED]
        clocks: dict[str, Callable[[], float]] = {
            "C": lambda: run(timed, _MILLISECONDS)[1],
            **_peers(net, timed, softmax),
        }
        times: dict[str, list[float]] = {name: [] for name in clocks}
        for _ in range(_ROUNDS):
            for name, clock in clocks.items():
                times[name].append(clock())
    difference, limit, others, same, tied = _compared(computed, flat, int8)
    failure = f"differs by {difference:.1g}" if not difference <= limit else None
    failure = f"{others} other predictions" if others > (max(1, _OTHERS * len(items)) if int8 else 0) else failure
    said = f"{same:,} of {len(items):,}" + (f", {tied} tied" if tied else "")
    rows = [
        (f"MXNet {mx.__version__}", None, None, _accuracy(flat, labels), None, "reference"),
        ("C", f"{difference:.1e}", said, _accuracy(computed, labels), _spread(times.pop("C")), failure or "agrees"),
        *((name, None, None, None, _spread(each), "for its speed") for name, each in times.items()),
    ]
    headers = ("runtime", "rms difference" if int8 else "max difference", "same prediction", "accuracy", "µs per item",
               "verdict")  # fmt: skip
    table = tabulate(rows, headers, disable_numparse=True, missingval="")
    return Checked(
        f"{table}\n{program.version(compiler)}, {' '.join(program.FLAGS)}: weights {source.weights:,} bytes, "
        f"buffer {source.memory:,} bytes", failure,
    )  # fmt: skip


def _compared(computed: np.ndarray, wanted: np.ndarray, int8: bool) -> tuple[float, float, int, int, int]:
    """Return the difference and its limit, and how many predictions are others, the same, or tied."""
    same, tied = expected.agreement(computed, wanted)
    others = len(wanted) - same - tied
    if int8:
        norm = max(float(np.linalg.norm(wanted)), float(np.finfo(np.float32).tiny))
        return float(np.linalg.norm(computed - wanted)) / norm, expected.INT8_TOLERANCE, others, same, tied
    limit = expected.TOLERANCE * max(1.0, float(np.abs(wanted).max()))
    return float(np.abs(computed - wanted).max()), limit, others, same, tied


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> str | None:
    return None if labels is None else parity.percent(float((outputs.argmax(axis=1) == labels).mean()))


def _spread(times: list[float]) -> str:
    return f"{np.median(times):,.1f} ({min(times):,.1f} to {max(times):,.1f})"


def _peers(net: mx.gluon.HybridBlock, items: np.ndarray, softmax: bool) -> dict[str, Callable[[], float]]:
    """Return clocks for ONNX Runtime in float32, called from Python, if it is installed."""
    if util.find_spec("onnx") is None or util.find_spec("onnxruntime") is None:
        return {}
    try:
        (content,) = onnx_model.encode(net, items.shape[1:], Options(batch=1, softmax=softmax)).values()
    except ZooError:  # an operator that C has, and ONNX has not
        return {}
    pixels = feeding.scaled(items)
    name = f"ONNX Runtime {metadata.version('onnxruntime')}"
    clocks = {}
    with temporary.folder("peer-") as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(content)
        for words, threads in ((", 1 thread", 1), ("", None)):
            session = runtimes.onnx_runtime_session(path, threads=threads)
            clocks[f"{name}{words}"] = _clock(session.run, session.get_inputs()[0].name, pixels)
    return clocks


def _clock(run: Callable[..., object], name: str, pixels: np.ndarray) -> Callable[[], float]:
    def clock() -> float:
        times: list[float] = []
        start = time.perf_counter()
        while time.perf_counter() - start < _MILLISECONDS / 1e3:
            index = len(times) % len(pixels)
            before = time.perf_counter()
            run(None, {name: pixels[index : index + 1]})
            times.append(time.perf_counter() - before)
        return float(np.median(times)) * 1e6

    return clock
