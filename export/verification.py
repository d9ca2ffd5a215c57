"""Verify that other programs compute from an ONNX file what MXNet computes from the network."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from numbers import Real
from pathlib import Path

import numpy as np
from tabulate import tabulate

from export import inference
from export.onnx import reading
from export.runtimes import RUNTIMES, Forward, Runtime
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph.heads import LOGITS, output_kind
from zoo.io import files, temporary
from zoo.runtime import mx

TOLERANCE = 1e-4  # largest difference of an output, absolute, or relative to the largest output if that is above 1
INT8_TOLERANCE = 0.1  # of a file with 8-bit integers: root mean square of all differences, relative to the outputs'
INT8_OTHERS = 0.001  # of its predictions; one may always be another
_TIE = 8 * 2.0**-23  # for outputs around 1: rounding alone decides between two classes this close
_FIRST, _BATCH = (1, 7), 100  # batch sizes: a single item, an odd number, and the rest
_LARGEST_BATCH = 1000  # of a file, if there are fewer items: they are repeated to fill it


@dataclass(frozen=True)
class Parity:
    """The comparison of one runtime with MXNet, over the first ``items`` of the data."""

    runtime: str
    version: str
    items: int
    difference: float  # largest absolute difference; their root mean square if int8
    limit: float  # largest difference allowed
    same: int  # items for which both predict the same class
    ties: int  # items for which they do not, but MXNet's own outputs for the two classes differ by rounding only
    accuracy: float | None = None  # None without labels
    refusal: str | None = None  # why the runtime cannot run the file; the figures are then 0
    shapes: str | None = None  # what is wrong with the shapes of its outputs; the difference is then infinite
    int8: bool = False  # whether the file computes with 8-bit integers

    @property
    def failure(self) -> str | None:
        """What differs too much; None if nothing does."""
        if self.refusal is not None:
            return None
        if self.shapes is not None:
            return self.shapes
        if not self.difference <= self.limit:
            return f"differs by {self.difference:.1g}"
        other = self.items - self.same - self.ties
        allowed = max(1, int(INT8_OTHERS * self.items)) if self.int8 else 0
        return f"{other} other predictions" if other > allowed else None


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
        difference = "rms difference" if any(each.int8 for each in self.parities) else "max difference"
        headers = ("runtime", "items", difference, "same prediction", "accuracy", "verdict")
        return tabulate(rows, headers, intfmt=",", disable_numparse=[2, 3], missingval="")


def verify(
    path: str | os.PathLike[str],
    net: mx.gluon.HybridBlock,
    data: Dataset | np.ndarray,
    seconds: float = 60,
) -> Verification:
    """Run ``data`` through ``net`` and through the ONNX file ``path`` in every installed runtime.

    ``data`` is a data set, or an array ``(n, *input_shape)`` as the file takes it: float32, or uint8 if it takes pixels
    from 0 to 255. The file must pass ONNX's full checker, have one input, and hold its weights itself. The first batch
    has one item, the second an odd number, and the rest are large. A runtime stops after ``seconds``, so a slow one
    sees fewer items. Raises :class:`ZooError` for a file that is not like this, and for data that the file or the
    network does not take.
    """
    return compare(reading.read(Path(path)), net, data, seconds)


def compare(
    model: reading.Model,
    net: mx.gluon.HybridBlock,
    data: Dataset | np.ndarray | Mapping[str, np.ndarray],
    seconds: float,
) -> Verification:
    """Do what :func:`verify` does, with a file that has been read."""
    if not isinstance(seconds, Real) or not seconds >= 0:
        raise ZooError(f"the time for a runtime must be a number of seconds, at least 0, not {seconds}")
    labels = data.labels if isinstance(data, Dataset) else None
    items = _items(data, model)
    expected = expected_outputs(net, items)
    if model.softmax and output_kind(net) == LOGITS:
        expected[0] = mx.nd.array(expected[0]).softmax().asnumpy()
    if not all(np.isfinite(each).all() for each in expected):
        raise ZooError("the network's outputs for these data are not finite, so that nothing can be compared with them")
    items = items if model.uint8 else _pixels(items)
    with temporary.folder("verify-") as folder:  # what was checked, whatever becomes of the file that was read
        path = folder / "model.onnx"
        files.write_together({path: model.content})
        parities = tuple(
            _compare(runtime, path, model, items, expected, labels, seconds)
            for runtime in RUNTIMES
            if runtime.is_installed
        )
    return Verification(len(items), _accuracy(expected[0], labels), parities)


def _items(data: Dataset | np.ndarray | Mapping[str, np.ndarray], model: reading.Model) -> np.ndarray:
    """Return ``data`` as an array that ``model`` takes; raises :class:`ZooError` if it takes no such data."""
    items = data.images[:, None] if isinstance(data, Dataset) else data
    if not isinstance(items, np.ndarray) or items.dtype.kind not in "fiu":
        kind = f"{items.dtype} values" if isinstance(items, np.ndarray) else f"of the type {type(data).__name__}"
        raise ZooError(f"the data must be a Dataset or an array of numbers, and are {kind}")
    wanted = zip(model.item, items.shape[1:])
    if items.ndim != 1 + len(model.item) or any(size not in (None, given) for size, given in wanted):
        shape = ", ".join(["n", *("any" if size is None else str(size) for size in model.item)])
        raise ZooError(f"{model.origin} takes data of the shape ({shape}), and these have the shape {items.shape}")
    if not items.size:
        raise ZooError(f"there is nothing to compare: data of the shape {items.shape} hold no items")
    if model.uint8 and items.dtype != np.uint8:
        raise ZooError(f"{model.origin} takes uint8 pixels from 0 to 255, and these data are {items.dtype}")
    if not np.isfinite(items).all():
        raise ZooError("the data hold values that are not finite, with which nothing can be compared")
    if model.batch is not None and model.batch > max(len(items), _LARGEST_BATCH):
        raise ZooError(
            f"{model.origin} takes batches of {model.batch:,} items, and here are {len(items):,}: verify it with as "
            "many, or write it with a smaller or an open batch size"
        )
    return items


def expected_outputs(net: mx.gluon.HybridBlock, items: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of ``net`` for ``items``, computed in batches; uint8 pixels are scaled to [0, 1]."""
    inference.check_takes(net, inference.state(net), {inference.INPUT: items.shape[1:]})
    forward, batches = inference.forward(net), []
    for start in range(0, len(items), _BATCH):
        batches.append(forward(_pixels(items[start : start + _BATCH])))
        if any(each.shape[:1] != (len(items[start : start + _BATCH]),) for each in batches[-1]):
            raise ZooError("the outputs of the network are not one for each item, so that no batches can be compared")
    return [np.concatenate(parts) for parts in zip(*batches)]


def _compare(
    runtime: Runtime,
    path: Path,
    model: reading.Model,
    items: np.ndarray,
    expected: list[np.ndarray],
    labels: np.ndarray | None,
    seconds: float,
) -> Parity:
    limit = INT8_TOLERANCE if model.int8 else TOLERANCE * max(1.0, *(float(np.abs(each).max()) for each in expected))
    try:
        count, computed = _run(runtime, path, model.batch, items, seconds)
    except Exception as error:  # each runtime has its own exceptions
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return Parity(runtime.name, runtime.version, 0, 0.0, limit, 0, 0, refusal=reason[:100])
    expected = [each[:count] for each in expected]
    if [each.shape for each in computed] != [each.shape for each in expected]:
        mine, theirs = (", ".join(str(each.shape) for each in outputs) for outputs in (expected, computed))
        shapes = f"puts out {theirs} where MXNet puts out {mine}"
        return Parity(runtime.name, runtime.version, count, float("inf"), limit, 0, 0, shapes=shapes)
    measure = _relative if model.int8 else _largest
    differences = [measure(one, other) for one, other in zip(computed, expected)]
    same, ties = _agreement(computed[0], expected[0])
    return Parity(
        runtime.name, runtime.version, count, float(np.max(differences)), limit, same, ties,
        _accuracy(computed[0], labels), int8=model.int8,
    )  # fmt: skip


def _largest(computed: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(computed - expected).max())


def _relative(computed: np.ndarray, expected: np.ndarray) -> float:
    """Return the root mean square of the differences, relative to that of the outputs."""
    return float(np.linalg.norm(computed - expected) / max(np.linalg.norm(expected), np.finfo(np.float32).tiny))


def _run(
    runtime: Runtime, path: Path, batch: int | None, items: np.ndarray, seconds: float
) -> tuple[int, list[np.ndarray]]:
    """Run as many items as there is time for, at least a few; returns their number and the outputs."""
    sizes = repeat(batch) if batch else chain(_FIRST, repeat(_BATCH))
    opened: dict[int, Forward] = {}
    batches: list[list[np.ndarray]] = []
    start, begin = 0, time.monotonic()
    while start < len(items) and (len(batches) < len(_FIRST) or time.monotonic() - begin < seconds):
        size = next(sizes)
        if size not in opened:
            opened[size] = runtime.open(path, size)
        part = items[start : start + size]
        outputs = opened[size](np.resize(part, (size, *part.shape[1:])))  # its first items fill up the last batch
        batches.append([np.atleast_1d(each)[: len(part)].astype(np.float32) for each in outputs])
        start += len(part)
    return start, [np.concatenate(parts) for parts in zip(*batches)]


def _agreement(computed: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    """Count the items with the same class, and those with another one because of rounding."""
    rows = np.arange(len(expected))
    mine, theirs = (each.reshape(len(rows), -1).argmax(axis=1) for each in (expected, computed))
    flat = expected.reshape(len(rows), -1)
    best, other = flat[rows, mine], flat[rows, theirs]
    tied = (mine != theirs) & (best - other <= _TIE * np.maximum(1, np.abs(best)))
    return int((mine == theirs).sum()), int(tied.sum())


def _accuracy(outputs: np.ndarray, labels: np.ndarray | None) -> float | None:
    if labels is None or outputs.ndim != 2:  # what is no row of classes for each item has no accuracy
        return None
    return float((outputs.argmax(axis=1) == labels[: len(outputs)]).mean())


def _pixels(items: np.ndarray) -> np.ndarray:
    """Convert ``items`` to float32, and scale them to [0, 1] if they are uint8."""
    return items * np.float32(1 / 255) if items.dtype == np.uint8 else items.astype(np.float32, copy=False)


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.2%}"
