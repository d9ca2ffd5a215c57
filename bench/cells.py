"""What is measured, and what comes of it: plain facts that travel between processes as JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.io.schema import build

PHASES = ("train", "infer")
ON_CPUS = ("float32", "bfloat16", "int8")  # dtypes that CPUs have ceilings for
INFERENCE_ONLY = ("int8",)
MEMORY = ("read", "copied")
ARITHMETIC = "arithmetic units"  # how a ceiling is best reached


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
        """For names of files."""
        context = self.context.replace("(", "").replace(")", "").replace(",", "-")
        return f"{self.model}-{context}-{self.dtype}-{self.batch_size}-{self.phase}"


@dataclass(frozen=True)
class Until:
    """When the measuring of a cell may stop."""

    width: float  # the median's 95% interval is no wider than this share of it,
    limit: float  # or rounds have taken this many seconds


@dataclass(frozen=True)
class Round:
    """Batches run one after the other as the loop runs them, timed from an idle device to an idle device."""

    images: int
    seconds: float
    cpu_seconds: float | None = None  # of the process, all its threads; None: not measured


def interval(rounds: Sequence[Round]) -> float:
    """Width of the 95% confidence interval of the median of images per second, relative to it.

    By order statistics, which suppose nothing about the distribution. Of fewer than six rounds, all of them.
    """
    speeds, count = sorted(each.images / each.seconds for each in rounds), len(rounds)
    # The median is below the k-th of n rounds if of n tosses of a coin fewer than k are heads.
    tails = itertools.accumulate(math.comb(count, heads) / 2**count for heads in range(count))
    outside = max(1, sum(tail <= 0.025 for tail in tails))
    return float((speeds[count - outside] - speeds[outside - 1]) / np.median(speeds))


@dataclass(frozen=True)
class Measurement:
    """The raw samples of a cell, and the figures that follow from them."""

    rounds: tuple[Round, ...]
    batch_seconds: tuple[float, ...]  # single batches, each waited for before the next is started
    epoch_run_seconds: float | None  # of a whole epoch; None where that would have taken too long
    epoch_images: int
    memory_mib: float  # highest resident memory of the process; on GPUs what is in use there in the end
    flops_per_image: int  # of this phase
    warmup_rounds: int
    steady: bool  # False: the last rounds of the warm-up still differed by more than 10%
    data: str  # where the images come from
    reference_seconds: tuple[float, ...] = ()  # of bench.reference's work before each round; () where not measured
    wanted: float | None = None  # rounds were to go on until the interval is no wider, as a share of the median

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
        """Of the rounds, as :func:`interval` has it."""
        return interval(self.rounds)

    @property
    def epoch_seconds(self) -> float:
        """Measured if an epoch was run, or else extrapolated from the median."""
        return (
            self.epoch_run_seconds if self.epoch_run_seconds is not None else self.epoch_images / self.images_per_second
        )

    def batch_milliseconds(self, percentile: float) -> float:
        """That so many percent of the single batches took at most."""
        return float(np.percentile(self.batch_seconds, percentile)) * 1000

    @property
    def gflops(self) -> float:
        """Thousand million floating-point operations a second, of convolutions and dense layers."""
        return self.images_per_second * self.flops_per_image / 1e9

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Measurement:
        """From what ``asdict`` made of one; :class:`ZooError` names the first field that is not as annotated."""
        return build(cls, raw)


@dataclass(frozen=True)
class Outcome:
    """A cell with its measurement, or with the reason why there is none."""

    cell: Cell
    measurement: Measurement | None = None
    error: str | None = None


@dataclass(frozen=True)
class Operator:
    """All calls of one of MXNet's operators in a profile."""

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """What the rounds of a cell are made of, by MXNet's profiler; or the reason why there is none."""

    cell: Cell
    operators: tuple[Operator, ...] = ()  # the one that takes most time first
    batches: int = 0
    seconds: float = 0.0  # for these batches, the profiler's own work included
    trace: str | None = None  # path of the file with every single call
    error: str | None = None

    @property
    def operator_seconds(self) -> float:
        """Of all calls together."""
        return sum(operator.seconds for operator in self.operators)


@dataclass(frozen=True)
class Latency:
    """Answers to single images that arrive at a steady rate, whether or not the one before is answered."""

    cell: Cell
    rate: float = 0.0  # arrivals a second
    capacity: float = 0.0  # answers a second where each request waits for the answer before it, measured first
    seconds: tuple[float, ...] = ()  # from each scheduled arrival to its answer, or to the end where there was none
    unanswered: int = 0  # requests, the last ones
    elapsed: float = 0.0  # seconds from the first arrival to the last answer
    data: str = ""
    error: str | None = None

    @property
    def achieved(self) -> float:
        """Answers a second, of as long as requests arrived at least."""
        return (len(self.seconds) - self.unanswered) / max(self.elapsed, len(self.seconds) / self.rate)

    @property
    def kept_up(self) -> bool:
        """Whether all were answered, about as fast as they arrived."""
        return not self.unanswered and self.achieved > 0.95 * self.rate

    def milliseconds(self, percentile: float) -> float:
        """That so many percent of the requests waited at most."""
        return float(np.percentile(self.seconds, percentile)) * 1000


@dataclass(frozen=True)
class Ceiling:
    """The highest rate that this machine reached at one thing, with nothing else to do."""

    of: str  # one of DTYPES or of MEMORY
    rate: float | None  # GFLOP/s, of int8 10^9 integer operations a second; of MEMORY GB/s; None: not measured
    how: str  # by what it was reached, or why it was not measured
    others: float | None = None  # share of the CPUs that other programs took meanwhile, 0 to 1; None: not measured
    cached: str | None = None  # when an earlier run measured it, ISO 8601; None: this run did


def highest(ceilings: Iterable[Ceiling]) -> tuple[Ceiling, ...]:
    """The best of several attempts at each thing."""
    best: dict[str, Ceiling] = {}
    for ceiling in ceilings:
        if ceiling.of not in best or (ceiling.rate or 0) > (best[ceiling.of].rate or 0):
            best[ceiling.of] = ceiling
    return tuple(best.values())


def peak(cell: Cell, ceilings: Sequence[Ceiling]) -> float | None:
    """GFLOP/s that ``cell`` cannot exceed; None where that was not measured, as on GPUs."""
    if "gpu" in cell.context:
        return None
    return next((ceiling.rate for ceiling in ceilings if ceiling.of == cell.dtype), None)
