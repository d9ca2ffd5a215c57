"""Checks that a side does the work that is timed: its logits and first losses, against plain float32 Gluon's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGES = 500  # test images whose logits are compared
BATCHES = 8  # training batches whose mean loss is compared
_DIFFERENCE = 1e-4  # of float32 logits, relative to the largest one, at most
_AGREEMENT = 0.99  # share of equal digits, at least, in every dtype
_LOSS = 0.03  # relative, at most
_DEVIATIONS = 4  # or so many standard deviations, as Dropout draws different numbers on each side


@dataclass(frozen=True)
class Check:
    """What a side computes, compared with plain float32 Gluon on the same weights and data."""

    dtype: str
    difference: float  # largest difference of a logit, relative to the largest logit
    agreement: float  # share of the images for which both predict the same digit
    loss: float | None = None  # mean over the first batches, in nats; None for inference
    reference_loss: float | None = None
    deviation: float = 0.0  # standard deviation of the reference loss between draws of Dropout, in nats

    @property
    def failure(self) -> str | None:
        """What differs too much for this to be the same work; None if nothing does."""
        if self.dtype == "float32" and not self.difference <= _DIFFERENCE:
            return f"its logits differ by {self.difference:.1g} of the largest, more than {_DIFFERENCE:g}"
        if not self.agreement >= _AGREEMENT:
            return f"it predicts the same digit for {self.agreement:.1%} of the images, fewer than {_AGREEMENT:.0%}"
        if self.loss is None:
            return None
        assert self.reference_loss is not None  # set together with loss
        if not abs(self.loss - self.reference_loss) <= max(_LOSS * self.reference_loss, _DEVIATIONS * self.deviation):
            return f"its first losses are {self.loss:.3f} on average instead of {self.reference_loss:.3f}"
        return None

    def __str__(self) -> str:
        losses = f", loss {self.loss:.3f} (reference {self.reference_loss:.3f})" if self.loss is not None else ""
        return f"logits ±{self.difference:.0e}, digits {self.agreement:.1%}{losses}"


def measure(folder: Path, start: str, logits: np.ndarray, losses: list[float] | None = None) -> dict[str, float]:
    """Return the fields of a :class:`Check`, except its dtype.

    ``folder`` is what ``bench.sides.handover`` wrote, ``start`` the weights that the side started from ("initial" or
    "trained"), ``logits`` ``(IMAGES, 10)`` those of the first test images, and ``losses`` the mean losses of the first
    :data:`BATCHES` training batches.
    """
    with np.load(Path(folder) / "reference.npz") as reference:
        expected, of_draws = reference[start], reference["losses"]
    facts = {
        "difference": float(np.abs(logits - expected).max() / np.abs(expected).max()),
        "agreement": float((logits.argmax(axis=1) == expected.argmax(axis=1)).mean()),
    }
    if losses is None:
        return facts
    expectation = {"reference_loss": float(np.mean(of_draws)), "deviation": float(np.std(of_draws))}
    return {**facts, "loss": float(np.mean(losses)), **expectation}
