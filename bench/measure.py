"""The measurement itself: warm, synchronised, repeated. ``bench`` and ``benchmarks/`` both call these functions."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import reference
from bench.cells import Cell, Measurement, Round, Until, interval
from zoo import models
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.models.architectures import MODELS
from zoo.recipes import Recipe
from zoo.runtime import contexts, mx
from zoo.training import Predictor, TrainingSession

ROUNDS = 5  # minimum
ROUND_SECONDS = 0.4  # minimum, so that starting and waiting for the device do not count; less in a short measurement
_OF_ROUNDS, _OF_BATCHES = 0.6, 0.2  # shares of the time for a cell
_ENOUGH_FOR_INTERVAL = 6  # rounds; the full range of fewer contains the median with less than 95%
_STEADY = 0.10  # largest relative difference between the last two warm-up rounds
_MAX_BATCH_SAMPLES = 500
_CALIBRATION = 1000  # images from the end of the training set, which set the ranges of int8


class Workload:
    """A model in one phase, with real data and a context, ready to process batches as :func:`zoo.fit` does."""

    def __init__(self, cell: Cell, dataset: Dataset) -> None:
        if cell.batch_size > len(dataset):
            raise ZooError(f"a batch of {cell.batch_size} is larger than the {len(dataset)} images of {dataset.source}")
        ctx = contexts.parse(cell.context)
        self.net = models.get_model(cell.model, ctx=ctx, seed=0)
        self.batch_size = cell.batch_size
        self._run: Callable[[np.ndarray], Iterator[Any]] = (
            TrainingSession(self.net, dataset, _recipe(cell), ctx).run
            if cell.phase == "train"
            else Predictor(self.net, dataset, ctx, cell.batch_size, cell.dtype, dataset[-_CALIBRATION:]).run
        )
        self._order = np.random.default_rng(0).permutation(len(dataset))
        self._position = 0

    def run(self, batches: int) -> Round:
        """Process this many full batches of images in random order, and wait for the last one."""
        return self._timed(np.concatenate([self._next_batch() for _ in range(batches)]))

    def epoch(self) -> Round:
        """Process every image once."""
        return self._timed(self._order)

    def results(self, order: np.ndarray) -> list[Any]:
        """Return the results for the images at ``order``, batch by batch: logits, or the metrics of training steps."""
        return list(self._run(order))

    def _next_batch(self) -> np.ndarray:
        if self._position + self.batch_size > len(self._order):
            self._position = 0
        self._position += self.batch_size
        return self._order[self._position - self.batch_size : self._position]

    def _timed(self, order: np.ndarray) -> Round:
        mx.nd.waitall()
        start, worked = time.perf_counter(), time.process_time()
        deque(self._run(order), maxlen=0)
        mx.nd.waitall()
        return Round(len(order), time.perf_counter() - start, time.process_time() - worked)


def measure(cell: Cell, dataset: Dataset, seconds: float = 5.0, until: Until | None = None) -> Measurement:
    """Measure ``cell`` for about ``seconds`` after its warm-up, longer if five rounds take longer."""
    workload, card = Workload(cell, dataset), models.get_card(cell.model)
    of_round = min(ROUND_SECONDS, _OF_ROUNDS * seconds / ROUNDS)
    batches, warmup_rounds, steady = _warm_up(workload, of_round, seconds / 2)
    rounds: list[Round] = []
    references: list[float] = []
    while len(rounds) < ROUNDS or _goes_on(rounds, seconds * _OF_ROUNDS, until):
        references.append(reference.seconds())
        rounds.append(workload.run(batches))
    return Measurement(
        rounds=tuple(rounds),
        batch_seconds=tuple(_batch_seconds(workload, rounds, batches, seconds * _OF_BATCHES)),
        epoch_run_seconds=_epoch_seconds(workload, rounds, len(dataset), seconds),
        epoch_images=len(dataset),
        memory_mib=_memory_mib(cell),
        flops_per_image=card.training_flops if cell.phase == "train" else card.flops,
        warmup_rounds=warmup_rounds,
        steady=steady,
        data=dataset.source,
        reference_seconds=tuple(references),
        wanted=until.width if until else None,
    )


def _recipe(cell: Cell) -> Recipe:
    """The model's recipe, its learning rate scaled down for small batches: overflow would change the speed."""
    recipe = MODELS[cell.model].recipe
    scale = min(1.0, cell.batch_size / recipe.batch_size)
    learning_rate = recipe.learning_rate * scale
    return replace(recipe, batch_size=cell.batch_size, learning_rate=learning_rate, dtype=cell.dtype)


def _warm_up(workload: Workload, of_round: float, seconds: float) -> tuple[int, int, bool]:
    """Run until two rounds of ``of_round`` seconds or more agree, or for ``seconds``.

    Returns batches per round, rounds run, and whether the last two agreed.
    """
    workload.run(1)  # compiles and allocates
    batches, spent, rounds = 1, 0.0, [workload.run(1)]
    while rounds[-1].seconds < of_round:
        batches = max(batches + 1, int(batches * min(10.0, 1.2 * of_round / rounds[-1].seconds)))
        rounds.append(workload.run(batches))
    while spent < seconds:
        rounds.append(workload.run(batches))
        spent += rounds[-1].seconds
        before, last = (each.images / each.seconds for each in rounds[-2:])
        if abs(last - before) <= _STEADY * max(last, before):
            return batches, len(rounds) + 1, True
    return batches, len(rounds) + 1, False


def _goes_on(rounds: list[Round], seconds: float, until: Until | None) -> bool:
    spent = sum(each.seconds for each in rounds)
    if until is None or spent < min(seconds, until.limit):
        return spent < seconds
    return spent < until.limit and (len(rounds) < _ENOUGH_FOR_INTERVAL or interval(rounds) > until.width)


def _batch_seconds(workload: Workload, rounds: list[Round], batches: int, seconds: float) -> list[float]:
    """Time single batches; rounds of one batch already do."""
    if batches == 1:
        return [each.seconds for each in rounds]
    samples: list[float] = []
    while len(samples) < ROUNDS or (sum(samples) < seconds and len(samples) < _MAX_BATCH_SAMPLES):
        samples.append(workload.run(1).seconds)
    return samples


def _epoch_seconds(workload: Workload, rounds: list[Round], images: int, seconds: float) -> float | None:
    expected = images * sum(each.seconds for each in rounds) / sum(each.images for each in rounds)
    return workload.epoch().seconds if expected <= seconds else None


def _memory_mib(cell: Cell) -> float:
    gpus = [ctx for ctx in contexts.parse(cell.context) if ctx.device_type == "gpu"]
    if not gpus:
        status = Path("/proc/self/status").read_text()  # getrusage() would include the parent's memory before exec
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak) / 1024
    return sum(total - free for free, total in (mx.context.gpu_memory_info(ctx.device_id) for ctx in gpus)) / 2**20
