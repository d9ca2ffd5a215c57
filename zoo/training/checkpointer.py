"""What a training run keeps: the best weights, the final ones, and its history."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.io import files
from zoo.models import weights
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training.history import EpochRecord, History


class Checkpointer:
    """Keeps the best weights in memory and, if ``out`` is given, writes weights and history to that directory.

    The best epoch has the highest validation accuracy or, without validation, is the latest. A directory belongs to one
    run: creating ``history.json`` claims it, and a directory that already has one is refused.
    """

    def __init__(self, net: mx.gluon.HybridBlock, recipe: Recipe, out: Path | None) -> None:
        self._net, self._recipe = net, recipe
        self._out = _claim(out) if out is not None else None
        self._held: dict[str, np.ndarray] | None = None
        self._held_accuracy = -1.0
        self._held_epoch: int | None = None
        self._unwritten: dict[str, np.ndarray] | None = None  # to be written to best.params
        self.best_epoch: int | None = None

    def take(self, record: EpochRecord) -> None:
        """Hold the weights after this epoch if they are the best; keep them if they reach ``recipe.keep_from``."""
        accuracy = record.validation_accuracy
        if accuracy is not None and accuracy <= self._held_accuracy:
            return
        self._held, self._held_accuracy, self._held_epoch = weights.state(self._net), accuracy or 0.0, record.epoch
        if accuracy is not None and accuracy >= self._recipe.keep_from:
            self._keep()
            try:
                self._write_best()
            except ZooError as error:  # a disk that is full for a moment should not end hours of training
                warnings.warn(
                    f"{error}; training goes on, and they are written again later", RuntimeWarning, stacklevel=3
                )

    def salvage(self) -> None:
        """After an early end, load the best weights so far into the network and keep them whatever their accuracy."""
        if self._held is not None:
            weights.restore(self._net, self._held)
            self._keep()

    def finish(self, history: History) -> None:
        """Write all remaining files; if some fail, still write the others and then raise the first error."""
        if self._out is None:
            return
        if not history.records:  # no epoch completed: leave the directory to the next run
            (self._out / "history.json").unlink(missing_ok=True)
            return
        whole = history.stopped in ("finished", "target")
        failures = []
        for write in (
            self._write_best,
            lambda: weights.save_parameters(self._net, self._out / "final.params") if whole else None,
            lambda: history.write(self._out / "history.json"),
        ):
            try:
                write()
            except ZooError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _keep(self) -> None:
        self.best_epoch = self._held_epoch
        self._unwritten = self._held

    def _write_best(self) -> None:
        if self._out is not None and self._unwritten is not None:
            weights.save_state(self._unwritten, self._out / "best.params")
            self._unwritten = None


def _claim(out: Path) -> Path:
    files.output_directory(out)
    try:
        (out / "history.json").touch(exist_ok=False)
    except FileExistsError:
        raise ZooError(
            f"{out} holds a run already (history.json): name another directory, or delete that one"
        ) from None
    except OSError as error:
        raise ZooError(f"cannot write into {out}: {error.strerror or error}") from error
    return out
