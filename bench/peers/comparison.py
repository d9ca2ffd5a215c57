"""Interleaved rounds of two sides, and the ratio of their speeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.peers.wire import Side

_WARMUP_BATCHES = 3
_TUNING = ("OMP_", "GOMP_", "KMP_", "MXNET_", "DNNL_", "MKLDNN_")


@dataclass(frozen=True)
class Comparison:
    """Images a second of both sides, round by round."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> np.ndarray:
        """How many times as fast this project was, round by round."""
        return np.divide(self.ours, self.theirs)

    def interval(self, confidence: float = 0.95, resamples: int = 10_000) -> tuple[float, float]:
        """Bootstrap confidence interval of the median ratio."""
        random = np.random.default_rng(0)
        medians = np.median(random.choice(self.ratios, (resamples, len(self.ratios))), axis=1)
        low, high = np.percentile(medians, (50 - 50 * confidence, 50 + 50 * confidence))
        return float(low), float(high)


def untuned_environment() -> dict[str, str]:
    """This process's environment without anything that tunes MXNet or OpenMP, whoever set it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_TUNING)}


def compare(theirs: str, request: dict, batches: int, rounds: int) -> Iterator[Comparison]:
    """Run ``bench.peers.ours`` and the module ``theirs`` in turn; yields what is known after every round."""
    environment = untuned_environment()
    with Side("bench.peers.ours", request, environment) as us, Side(theirs, request, environment) as them:
        sides = (us, them)
        for side in sides:
            side.run(_WARMUP_BATCHES)
        speeds: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for which in (0, 1) if number % 2 == 0 else (1, 0):  # neither side always comes first
                done = sides[which].run(batches)
                speeds[which].append(done["images"] / done["seconds"])
            yield Comparison(tuple(speeds[0]), tuple(speeds[1]))
