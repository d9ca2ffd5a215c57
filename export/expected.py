"""What MXNet computes from the data of a verification, and how far other outputs are from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.parity import Parity
from export.runtimes.runtime import Runtime

INT8_TOLERANCE = 0.1  # of a file with 8-bit integers: root mean square of all differences, relative to the outputs'
TOLERANCE = 1e-4  # largest difference of an output, absolute, or relative to the largest output if that is above 1
_TINY = float(np.finfo(np.float32).tiny)
_TIE = 8 * 2.0**-23  # for outputs around 1: rounding alone decides between two classes this close

Batches = list[list[np.ndarray]]  # arrays for each batch: for the inputs, or for the outputs


@dataclass(frozen=True)
class Expected:
    """What MXNet computes, batch by batch."""

    outputs: Batches
    sizes: list[int]  # of the batches
    items: int  # of which the last batch may have fewer than its size
    labels: np.ndarray | None
    int8: bool = False  # whether the file computes with 8-bit integers

    @property
    def limit(self) -> float:
        """The largest difference allowed."""
        if self.int8:
            return INT8_TOLERANCE
        largest = max(float(np.abs(each).max(initial=0)) for outputs in self.outputs for each in outputs)
        return TOLERANCE * max(1.0, largest)

    @property
    def accuracy(self) -> float | None:
        """MXNet's accuracy; None without labels."""
        return self._accuracy(self._rows(self.outputs))

    def refused(self, runtime: Runtime, version: str, reason: str) -> Parity:
        """Return that ``runtime`` cannot run the file."""
        return Parity(
            runtime.name, version, 0, 0.0, self.limit, refusal=reason[:100], is_required=runtime.is_required
        )  # fmt: skip

    def compared(self, runtime: Runtime, version: str, computed: Batches) -> Parity:
        """Compare the first batches, which ``runtime`` has computed."""
        count = min(self.items, sum(self.sizes[: len(computed)]))
        for mine, theirs in zip(self.outputs, computed):
            if [each.shape for each in mine] != [each.shape for each in theirs]:
                mxnets, others = (", ".join(str(each.shape) for each in outputs) for outputs in (mine, theirs))
                shapes = f"puts out {others} where MXNet puts out {mxnets}"
                return Parity(runtime.name, version, count, float("inf"), self.limit, 0, shapes=shapes)
        expected, rows = self._rows(self.outputs[: len(computed)]), self._rows(computed)
        if self.int8 and rows is not None and rows.ndim != 2:
            rows = None  # rounding decides where the largest of many numbers is
        same, ties = (None, 0) if expected is None or rows is None else agreement(rows, expected)
        return Parity(
            runtime.name, version, count, self._difference(computed), self.limit, same, ties, self._accuracy(rows),
            int8=self.int8,
        )  # fmt: skip

    def _difference(self, computed: Batches) -> float:
        pairs = [
            [np.concatenate([each.ravel() for each in parts]).astype(np.float64) for parts in both]
            for both in zip(zip(*self.outputs[: len(computed)]), zip(*computed))
        ]
        if self.int8:
            return max(float(np.linalg.norm(one - other) / max(np.linalg.norm(one), _TINY)) for one, other in pairs)
        return float(np.max([np.abs(one - other).max(initial=0) for one, other in pairs]))  # nan if one is

    def _rows(self, batches: Batches) -> np.ndarray | None:
        """Return the first output for every item; None if it is not one for each."""
        if any(outputs[0].shape[:1] != (size,) for outputs, size in zip(batches, self.sizes)):
            return None
        return np.concatenate([outputs[0] for outputs in batches])[: self.items]

    def _accuracy(self, rows: np.ndarray | None) -> float | None:
        if self.labels is None or rows is None or rows.ndim != 2:  # no row of classes has no accuracy
            return None
        return float((rows.argmax(axis=1) == self.labels[: len(rows)]).mean())


def agreement(computed: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    """Count the items with the same class, and those with another one because of rounding."""
    rows = np.arange(len(expected))
    mine, theirs = (each.reshape(len(rows), -1).argmax(axis=1) for each in (expected, computed))
    flat = expected.reshape(len(rows), -1)
    best, other = flat[rows, mine], flat[rows, theirs]
    tied = (mine != theirs) & (best - other <= _TIE * np.maximum(1, np.abs(best)))
    return int((mine == theirs).sum()), int(tied.sum())
