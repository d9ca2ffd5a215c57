"""From samples to a verdict.

A difference must be significant, in a test at a level shared by all cells, and large enough, by an estimate of at least
the threshold. "Same" must be shown, too: the interval must lie within the threshold. Anything else is too noisy to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from bench.cells import Measurement, Round
from bench.compare.rounds import Pair
from zoo.errors import ZooError

FASTER, SLOWER, SAME, NOISY = "faster", "slower", "same", "too noisy to say"
LEVEL = 0.01  # rate of false alarms when a revision is compared with itself
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Effect:
    """How many times as fast B is as A, by one clock."""

    ratio: float
    interval: tuple[float, float]
    p: float  # probability of a difference this large by chance

    def verdict(self, threshold: float, level: float) -> str:
        """One of :data:`FASTER`, :data:`SLOWER`, :data:`SAME`, :data:`NOISY`; the threshold holds on a log scale."""
        bound = 1 + threshold
        if self.p < level and not 1 / bound < self.ratio < bound:
            return FASTER if self.ratio > 1 else SLOWER
        low, high = self.interval
        return SAME if 1 / bound < low and high < bound else NOISY


@dataclass(frozen=True)
class Verdict:
    """What a cell's effects amount to, and by which clock."""

    word: str  # FASTER, SLOWER, SAME or NOISY
    by_cpu_time: bool = False

    def __str__(self) -> str:
        return f"{self.word} in CPU time" if self.by_cpu_time else self.word


def judge(wall: Effect, cpu: Effect | None, threshold: float, level: float) -> Verdict:
    """Judge by wall-clock time, or by CPU time if other programs made that too noisy."""
    for effect, by_cpu_time in ((wall, False), (cpu, True)):
        word = effect.verdict(threshold, level / 2) if effect is not None else NOISY
        if word != NOISY:
            return Verdict(word, by_cpu_time)
    return Verdict(NOISY)


def paired(pairs: Sequence[Pair], clock: str) -> Effect | None:
    """Estimate the effect by ``seconds`` or ``cpu_seconds``; None if that was not measured.

    Two rounds, A B B A, are one sample, so that both sides bear the cost of running second. Student's t-test counts
    each pair of processes once, by its median on a logarithmic scale: the rounds of a pair share whatever sets its two
    processes apart, and testing them as independent raises false alarms.
    """
    found = [_median_effect(pair, clock) for pair in pairs]
    effects = [each for each in found if each is not None]
    if len(effects) < len(found):
        return None
    test = scipy_stats().ttest_1samp(effects, 0.0)
    ratio, low, high = np.exp([np.mean(effects), *test.confidence_interval(0.95)])
    return Effect(float(ratio), (float(low), float(high)), float(test.pvalue) if any(effects) else 1.0)


def _median_effect(pair: Pair, clock: str) -> float | None:
    a, b = (_rates([getattr(turns, side) for turns in pair], clock) for side in "ab")
    if a is None or b is None:
        return None
    return float(np.median((np.log(b) - np.log(a)).reshape(-1, 2).mean(axis=1)))


def independent(a: Measurement, b: Measurement) -> Effect:
    """Estimate the effect between measurements of two runs, relative to the reference workload if both timed it.

    The ratio is that of the medians, its interval comes from the bootstrap, and the test is the Mann–Whitney U test.
    """
    rates = [np.array([each.images / each.seconds for each in side.rounds]) for side in (a, b)]
    machines = [np.array(side.reference_seconds if can_normalise(a, b) else (1.0,)) for side in (a, b)]
    random = np.random.default_rng(0)

    def resampled(samples: np.ndarray) -> np.ndarray:
        return np.median(random.choice(samples, (_RESAMPLES, len(samples))), axis=1)

    before, after = (resampled(rate) * resampled(machine) for rate, machine in zip(rates, machines))
    low, high = np.percentile(after / before, (2.5, 97.5))
    before, after = (rate * np.median(machine) for rate, machine in zip(rates, machines))
    p = scipy_stats().mannwhitneyu(before, after).pvalue
    return Effect(float(np.median(after) / np.median(before)), (float(low), float(high)), float(p))


def can_normalise(a: Measurement, b: Measurement) -> bool:
    """Whether the reference workload was timed in both runs."""
    return bool(a.reference_seconds and b.reference_seconds)


def _rates(rounds: Sequence[Round], clock: str) -> np.ndarray | None:
    """Return the images per second by ``clock``; None if that was not measured."""
    times = [getattr(each, clock) for each in rounds]
    return None if None in times else np.array([each.images for each in rounds]) / times


def scipy_stats() -> ModuleType:
    """Import ``scipy.stats``; :class:`ZooError` says how to install it if it is missing."""
    try:
        from scipy import stats
    except ImportError:
        raise ZooError("comparing needs SciPy: pip install '.[compare]'") from None
    return stats
