"""The results of a comparison: speeds, ratios with their uncertainty, verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.cells import Round
from bench.contention import BUSY
from bench.peers.works import Configuration, Target
from bench.sides.checks import Check


@dataclass(frozen=True)
class Result:
    """The result of one side."""

    configuration: Configuration
    rounds: tuple[Round, ...] = ()  # empty if there is an error
    check: Check | None = None
    error: str | None = None
    others: tuple[float, ...] = ()  # share of the CPUs that other programs took, round by round

    @property
    def speeds(self) -> np.ndarray:
        """Images a second, round by round."""
        return np.array([each.images / each.seconds for each in self.rounds])

    @property
    def median(self) -> float:
        """Images a second in a typical round."""
        return float(np.median(self.speeds))

    @property
    def spread(self) -> float:
        """Interquartile range of the rounds, relative to their median."""
        low, high = np.percentile(self.speeds, (25, 75))
        return float((high - low) / self.median)

    @property
    def disturbed(self) -> bool:
        """Whether other programs were at work in a typical round."""
        return bool(self.others) and float(np.median(self.others)) > BUSY

    @property
    def problem(self) -> str | None:
        """Why it was not measured, or how its work differs from what was asked; None if all is well."""
        if self.error:
            return self.error
        assert self.check is not None  # set for every side that was measured
        return f"check failed: {self.check.failure}" if self.check.failure else None


@dataclass(frozen=True)
class Comparison:
    """Images a second of two sides, round by round."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratios(self) -> np.ndarray:
        """How many times as fast this project was, round by round."""
        return np.divide(self.ours, self.theirs)

    @property
    def ratio(self) -> float:
        """How many times as fast this project was in a typical round."""
        return float(np.median(self.ratios))

    def interval(self, confidence: float = 0.95, resamples: int = 10_000) -> tuple[float, float]:
        """Bootstrap confidence interval of the median ratio."""
        random = np.random.default_rng(0)
        medians = np.median(random.choice(self.ratios, (resamples, len(self.ratios))), axis=1)
        low, high = np.percentile(medians, (50 - 50 * confidence, 50 + 50 * confidence))
        return float(low), float(high)


@dataclass(frozen=True)
class TargetRow:
    """A target and how it was met; without a comparison, the verdict is the reason why there is none."""

    target: Target
    verdict: str
    ours: Result | None = None
    theirs: Result | None = None
    comparison: Comparison | None = None


def judge(target: Target, results: Sequence[Result]) -> TargetRow:
    """Compare this project's fastest side with the fastest peer of ``target``.

    Sides of this project whose check failed do not count. The fastest peer always counts: if its check failed there is
    no verdict, as a slower peer in its place would flatter this project.
    """
    compared = [result for result in results if target.compares(result.configuration)]
    ours = [result for result in compared if result.configuration.is_ours]
    theirs = [result for result in compared if not result.configuration.is_ours]
    able, running = [each for each in ours if not each.problem], [each for each in theirs if not each.error]
    if not able or not running:
        return TargetRow(target, _reason(theirs if able else ours))
    best, rival = (max(each, key=lambda result: result.median) for each in (able, running))
    if rival.problem:
        return TargetRow(target, f"{rival.configuration.name}: {rival.problem}", best, rival)
    comparison = Comparison(tuple(best.speeds), tuple(rival.speeds))
    busy = " (busy machine)" if best.disturbed or rival.disturbed else ""
    return TargetRow(target, _verdict(target, comparison.ratio) + busy, best, rival, comparison)


def _reason(failed: Sequence[Result]) -> str:
    return next((each.problem for each in failed if each.problem), "nothing to compare with")


def _verdict(target: Target, ratio: float) -> str:
    if target.at_least is None:
        return ""
    if ratio < target.at_least:
        return "missed"
    return "met, stretch too" if target.stretch is not None and ratio >= target.stretch else "met"
