"""Verify that other programs compute from an ONNX file what MXNet computes from the network."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
from tabulate import tabulate

from export.onnx.model import check, package
from export.runtimes import RUNTIMES, Forward, Runtime
from zoo.data import Dataset
from zoo.io import files
from zoo.runtime import mx

TOLERANCE = 1e-4  # largest difference of an output, absolute, or relative to the largest output if that is above 1
_TIE = 8 * 2.0**-23  # for outputs around 1: rounding alone decides between two classes this close
_FIRST, _BATCH = (1, 7), 100  # batch sizes: a single item, an odd number, and the rest


@dataclass(frozen=True)
class Parity:
    """The comparison of one runtime with MXNet, over the first ``items`` of the data."""

    runtime: str
    version: str
    items: int
    difference: float  # largest absolute difference
    limit: float  # largest difference allowed
    same: int  # items for which both predict the same class
    ties: int  # items for which they do not, but MXNet's own outputs for the two classes differ by rounding only
    accuracy: float | None = None  # None without labels
    refusal: str | None = None  # why the runtime cannot run the file; the figures are then 0

    @property
    def failure(self) -> str | None:
        """What differs too much; None if nothing does."""
        if self.refusal is not None:
            return None
        if not self.difference <= self.limit:
            return f"differs by {self.difference:.1g}"
        other = self.items - self.same - self.ties
        return f"{other} other predictions" if other else None


@dataclass(frozen=True)
class Verification:
    """MXNet's accuracy (None without labels), and its comparison with every installed runtime."""

    items: int
    accuracy: float | None
    parities: tuple[Parity, ...]

    @property
    def failures(self) -> list[str]:
        """One phrase per failure; empty if the runtimes agree with MXNet."""
        found = [f"{each.runtime} {each.failure}" for each in self.parities if each.failure]
        return found if any(each.items for each in self.parities) else [*found, "no runtime could run the file"]

    def __str__(self) -> str:
        rows: list[tuple[str, int, str | None, str | None, str | None, str]] = [
            (f"MXNet {mx.__version__}", self.items, None, None, _percent(self.accuracy), "reference")
        ]
        for each in self.parities:
            name = f"{each.runtime} {each.version}"
            if each.refusal is not None:
                rows.append((name, 0, None, None, None, f"cannot run it: {each.refusal}"))
                continue
            same = f"{each.same:,} of {each.items:,}" + (f", {each.ties} tied" if each.ties else "")
            verdict = each.failure or "agrees"
            rows.append((name, each.items, f"{each.difference:.1e}", same, _percent(each.accuracy), verdict))
        headers = ("runtime", "items", "max difference", "same prediction", "accuracy", "verdict")
        return tabulate(rows, headers, intfmt=",", disable_numparse=[2, 3], missingval="")


def verify(
    path: str | os.PathLike[str],
    net: mx.gluon.HybridBlock,
    data: Dataset | np.ndarray,
    seconds: float = 60,
) -> Verification:
    """Run ``data`` through ``net`` and through the ONNX file ``path`` in every installed runtime.

    ``data`` is a data set, or an array ``(n, *input_shape)`` as the file takes it: float32, or uint8 if it takes pixels
    from 0 to 255. The file must pass ONNX's full checker. The first batch has one item, the second an odd number, and
    the rest are large. A runtime stops after ``seconds``, so a slow one sees fewer items. Raises :class:`ZooError` for
    a file that is not valid ONNX or does not take such data.
    """
    facts = _facts(Path(path))
    labels = data.labels if isinstance(data, Dataset) else None
    items = data.images[:, None] if isinstance(data, Dataset) else data
    expected = expected_outputs(net, items)
    if facts.softmax:
        expected = [mx.nd.array(expected[0]).softmax().asnumpy()]
    items = items if facts.uint8 else _pixels(items)
    parities = tuple(
        _compare(runtime, Path(path), facts, items, expected, labels, seconds)
        for runtime in RUNTIMES
        if runtime.is_installed
    )
    return Verification(len(items), _accuracy(expected[0], labels), parities)


def expected_outputs(net: mx.gluon.HybridBlock, items: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of ``net`` for ``items``, computed in batches; uint8 pixels are scaled to [0, 1]."""
    context = next(iter(net.collect_params().values())).list_ctx()[0]
    batches = []
    for start in range(0, len(items), _BATCH):
        outputs = net(mx.nd.array(_pixels(items[start : start + _BATCH]), ctx=context))
        batches.append([each.asnumpy() for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])])
    return [np.concatenate(parts) for parts in zip(*batches)]


@dataclass(frozen=True)
class _Facts:
    """What the file states about itself."""

    batch: int | None  # None if it is open
    uint8: bool
    softmax: bool


def _facts(path: Path) -> _Facts:
    onnx = package()
    content = files.read(path)
    check(content, f"{path} is not valid ONNX")
    graph = onnx.load_from_string(content).graph
    tensor = graph.input[0].type.tensor_type
    return _Facts(
        batch=tensor.shape.dim[0].dim_value or None,
        uint8=tensor.elem_type == onnx.TensorProto.UINT8,
        softmax=graph.output[0].name == "probabilities",
    )


def _compare(
    runtime: Runtime,
    path: Path,
    facts: _Facts,
    items: np.ndarray,
    expected: list[np.ndarray],
    labels: np.ndarray | None,
    seconds: float,
) -> Parity:
    limit = TOLERANCE * max(1.0, *(float(np.abs(each).max()) for each in expected))
    try:
        computed = _run(runtime, path, facts, items, seconds)
    except Exception as error:  # each runtime has its own exceptions
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return Parity(runtime.name, runtime.version, 0, 0.0, limit, 0, 0, refusal=reason[:100])
    count = len(computed[0])
    differences = [np.abs(one - other[:count]).max() for one, other in zip(computed, expected)]
    same, ties = _agreement(computed[0], expected[0][:count])
    return Parity(
        runtime.name, runtime.version, count, float(np.max(differences)), limit, same, ties,
        _accuracy(computed[0], labels),
    )  # fmt: skip


def _run(runtime: Runtime, path: Path, facts: _Facts, items: np.ndarray, seconds: float) -> list[np.ndarray]:
    """Return the outputs for as many items as there is time for, at least a few."""
    sizes = repeat(facts.batch) if facts.batch else chain(_FIRST, repeat(_BATCH))
    opened: dict[int, Forward] = {}
    batches: list[list[np.ndarray]] = []
    start, begin = 0, time.monotonic()
    while start < len(items) and (len(batches) < len(_FIRST) or time.monotonic() - begin < seconds):
        size = next(sizes)
        if size not in opened:
            opened[size] = runtime.open(path, size)
        part = items[start : start + size]
        outputs = opened[size](np.resize(part, (size, *part.shape[1:])))  # its first items fill up the last batch
        batches.append([each[: len(part)] for each in outputs])
        start += len(part)
    return [np.concatenate(parts) for parts in zip(*batches)]


def _agreement(computed: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    """Count the items with the same class, and those with another one because of rounding."""
    rows = np.arange(len(expected))
    mine, theirs = (each.reshape(len(rows), -1).argmax(axis=1) for each in (expected, computed))
    flat = expected.reshape(len(rows), -1)
    best, other = flat[rows, mine], flat[rows, theirs]
    tied = (mine != theirs) & (best - other <= _TIE * np.maximum(1, np.abs(best)))
    return int((mine == theirs).sum()), int(tied.sum())


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    return None if labels is None else float((outputs.argmax(axis=1) == labels[: len(outputs)]).mean())


def _pixels(items: np.ndarray) -> np.ndarray:
    """Convert ``items`` to float32, and scale them to [0, 1] if they are uint8."""
    return items * np.float32(1 / 255) if items.dtype == np.uint8 else items.astype(np.float32, copy=False)


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"
