"""Cells and their results: plain data that travels between processes as JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.io.schema import build

PHASES = ("train", "infer")
ON_CPUS = ("float32", "bfloat16", "int8")  # dtypes with ceilings on CPUs
INFERENCE_ONLY = ("int8",)
MEMORY = ("read", "copied")
ARITHMETIC = "arithmetic units"  # the best value of Ceiling.how
LEAST, MOST = 1e-12, 1e12


def are_plausible(*numbers: float) -> bool:
    """Whether these can be times, counts, rates or ratios: computing with them cannot exceed what floats hold."""
    return all(LEAST <= each <= MOST for each in numbers)


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    model: str
    context: str
    dtype: str
    batch_size: int
    phase: str  # one of PHASES

    def __str__(self) -> str:
        return f"{self.model} on {self.context}, {self.dtype}, batch {self.batch_size}, {self.phase}"

    @property
    def slug(self) -> str:
        """The cell as a stem for file names."""
        context = self.context.replace("(", "").replace(")", "").replace(",", "-")
        return f"{self.model}-{context}-{self.dtype}-{self.batch_size}-{self.phase}"


@dataclass(frozen=True)
class Until:
    """When to stop measuring a cell."""

    width: float  # once the median's 95% interval is at most this share of it,
    limit: float  # or once the rounds have taken this many seconds


@dataclass(frozen=True)
class Round:
    """Batches run back to back, as the real loop runs them, timed from idle device to idle device."""

    images: int
    seconds: float
    cpu_seconds: float | None = None  # CPU time of the process, all threads; None if not measured


def interval(rounds: Sequence[Round]) -> float:
    """Width of the 95% confidence interval of the median of images per second, relative to it.

    Uses order statistics, which assume nothing about the distribution. Fewer than six rounds give their full range.
    """
    speeds, count = sorted(each.images / each.seconds for each in rounds), len(rounds)
    # The true median is below the k-th of n sorted rounds as often as n coin tosses give fewer than k heads.
    tails = itertools.accumulate(math.comb(count, heads) / 2**count for heads in range(count))
    outside = max(1, sum(tail <= 0.025 for tail in tails))
    return float((speeds[count - outside] - speeds[outside - 1]) / np.median(speeds))


@dataclass(frozen=True)
class Measurement:
    """The raw samples of a cell, and the figures derived from them."""

    rounds: tuple[Round, ...]
    batch_seconds: tuple[float, ...]  # single batches, each finished before the next starts
    epoch_run_seconds: float | None  # of a whole epoch; None if that would have taken too long
    epoch_images: int
    memory_mib: float  # peak resident memory of the process; on GPUs, device memory in use at the end
    flops_per_image: int  # in this phase
    warmup_rounds: int
    steady: bool  # False: the last warm-up rounds still differed by more than 10%
    data: str  # where the images come from
    reference_seconds: tuple[float, ...] = ()  # of bench.reference before each round; () if not measured
    wanted: float | None = None  # requested width of the interval, as a share of the median

    @property
    def images_per_second(self) -> float:
        """Median over the rounds."""
        return float(np.median([each.images / each.seconds for each in self.rounds]))

    @property
    def spread(self) -> float:
        """Interquartile range of the rounds' images per second, relative to their median."""
        low, high = np.percentile([each.images / each.seconds for each in self.rounds], (25, 75))
        return float((high - low) / self.images_per_second)

    @property
    def interval(self) -> float:
        """Relative width of the median's 95% confidence interval, by :func:`interval`."""
        return interval(self.rounds)

    @property
    def epoch_seconds(self) -> float:
        """Measured if an epoch was run, otherwise extrapolated from the median."""
        return (
            self.epoch_run_seconds if self.epoch_run_seconds is not None else self.epoch_images / self.images_per_second
        )

    def batch_milliseconds(self, percentile: float) -> float:
        """Return this percentile of the single batches' times."""
        return float(np.percentile(self.batch_seconds, percentile)) * 1000

    @property
    def gflops(self) -> float:
        """10^9 floating-point operations per second, in convolutions and dense layers."""
        return self.images_per_second * self.flops_per_image / 1e9

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Measurement:
        """Rebuild from the output of ``asdict``; :class:`ZooError` names the first field that is not as annotated."""
        return build(cls, raw)


@dataclass(frozen=True)
class Outcome:
    """A cell with its measurement, or with the reason why there is none."""

    cell: Cell
    measurement: Measurement | None = None
    error: str | None = None


@dataclass(frozen=True)
class Operator:
    """All calls of one MXNet operator in a profile."""

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The operators in a cell's rounds, from MXNet's profiler; or the reason why there are none."""

    cell: Cell
    operators: tuple[Operator, ...] = ()  # by total time, longest first
    batches: int = 0
    seconds: float = 0.0  # for these batches, profiler overhead included
    trace: str | None = None  # path of the file with every call
    error: str | None = None

    @property
    def operator_seconds(self) -> float:
        """Total over all calls."""
        return sum(operator.seconds for operator in self.operators)


@dataclass(frozen=True)
class Latency:
    """Answers to single images that arrive at a steady rate, whether or not earlier ones are answered."""

    cell: Cell
    rate: float = 0.0  # arrivals per second
    capacity: float = 0.0  # answers per second if each request waits for the previous answer; measured first
    seconds: tuple[float, ...] = ()  # from each scheduled arrival to its answer, or to the end if unanswered
    unanswered: int = 0  # number of requests without an answer, all at the end
    elapsed: float = 0.0  # seconds from the first arrival to the last answer
    data: str = ""
    error: str | None = None

    @property
    def achieved(self) -> float:
        """Answers per second, over no less than the time in which requests arrived."""
        return (len(self.seconds) - self.unanswered) / max(self.elapsed, len(self.seconds) / self.rate)

    @property
    def kept_up(self) -> bool:
        """Whether all requests were answered, about as fast as they arrived."""
        return not self.unanswered and self.achieved > 0.95 * self.rate

    def milliseconds(self, percentile: float) -> float:
        """Return this percentile of the requests' waiting times."""
        return float(np.percentile(self.seconds, percentile)) * 1000


@dataclass(frozen=True)
class Ceiling:
    """The highest rate that this machine reached at one kind of work, with nothing else to do."""

    of: str  # one of DTYPES or of MEMORY
    rate: float | None  # GFLOP/s; for int8, 10^9 integer operations/s; for MEMORY, GB/s; None if not measured
    how: str  # how it was reached, or why it was not measured
    others: float | None = None  # share of the CPUs that other programs took meanwhile, 0 to 1; None: not measured
    cached: str | None = None  # when an earlier run measured it, ISO 8601; None: this run did


def highest(ceilings: Iterable[Ceiling]) -> tuple[Ceiling, ...]:
    """Keep the best of several ceilings for each kind of work."""
    best: dict[str, Ceiling] = {}
    for ceiling in ceilings:
        if ceiling.of not in best or (ceiling.rate or 0) > (best[ceiling.of].rate or 0):
            best[ceiling.of] = ceiling
    return tuple(best.values())


def peak(cell: Cell, ceilings: Sequence[Ceiling]) -> float | None:
    """Return the GFLOP/s that ``cell`` cannot exceed; None if that was not measured, as on GPUs."""
    if "gpu" in cell.context:
        return None
    return next((ceiling.rate for ceiling in ceilings if ceiling.of == cell.dtype), None)
