"""What a training run keeps: the best weights, the final ones, its history, and a checkpoint to resume from."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.io import files, locks
from zoo.models import weights
from zoo.runtime import mx
from zoo.training import run_folder
from zoo.training.checkpoint import Checkpoint, Origin, check_recipe
from zoo.training.history import History
from zoo.training.run_folder import BEST, CHECKPOINT, FINAL, HISTORY
from zoo.training.session import Totals, TrainingSession

EVERY = 300.0  # seconds after which a checkpoint is due within an epoch
_BEST = "best "  # begins the names of the best weights in a checkpoint


class Checkpointer:
    """Keeps the best weights in memory and, if ``out`` is given, writes weights, history and checkpoints there.

    The best epoch has the highest validation accuracy or, without validation, is the latest. A directory belongs to one
    run, and to one process at a time.
    """

    def __init__(self, net: mx.gluon.HybridBlock, session: TrainingSession, out: Path | None) -> None:
        self._net, self._session, self._out = net, session, out
        self._held: dict[str, np.ndarray] | None = None
        self._held_accuracy = -1.0
        self._held_epoch: int | None = None
        self._unwritten: dict[str, np.ndarray] | None = None  # to be written to best.params
        self._saved = time.monotonic()  # when the last checkpoint was written
        self._has_progress = False  # whether it holds more than the beginning
        self.best_epoch: int | None = None

    @contextmanager
    def claimed(self, begun: History, origin: Callable[[], Origin], resume: bool) -> Iterator[tuple[History, Totals]]:
        """Hold the directory, and yield what training goes on from: ``begun``, or the run to resume.

        Raises :class:`ZooError` if the directory cannot be written, is in use, holds a run that is not to be resumed,
        or holds another run than the one that is.
        """
        self._history, self._is_tested_later = begun, begun.command is not None
        if self._out is None:
            yield begun, Totals()
            return
        with locks.held(files.output_directory(self._out), "another training run"):
            run_folder.check_files(self._out)
            if not resume:
                run_folder.check_free(self._out)
            self._origin = origin()
            totals = self._resume(begun) if resume else Totals()
            if self._history.stopped == "running":
                self._attempt(lambda: self._write_checkpoint(totals))
                self._write_history()
            yield self._history, totals

    def _resume(self, begun: History) -> Totals:
        """Restore the run in the directory, if there is one: session, network, history, and the best weights."""
        assert self._out is not None
        path = self._out / CHECKPOINT
        if path.exists():
            checkpoint, arrays = Checkpoint.read(path)
            checkpoint.check(self._origin, begun, self._out)
            self._session.restore(checkpoint.position, arrays)
            best = [array for name, array in arrays.items() if name.startswith(_BEST)]
            self._held = dict(zip(weights.state(self._net), best)) if best else None
            self._held_accuracy, self._held_epoch = checkpoint.held_accuracy, checkpoint.held_epoch
            self._history = checkpoint.history
            if self._history.best_epoch is not None:
                self._keep()
            elif (
                run_folder.last(self._out, self._history).best_epoch is not None
            ):  # kept only since the run ended early
                (self._out / BEST).unlink(missing_ok=True)
            return checkpoint.totals
        if (self._out / HISTORY).exists():
            history = History.read(self._out / HISTORY)
            check_recipe(history, begun, self._out)
            if history.stopped not in ("finished", "target"):
                raise ZooError(f"the run in {self._out} {history.stopped}, and left no {CHECKPOINT} to go on from")
            weights.load_parameters(self._net, self._out / FINAL)
            self._history, self.best_epoch = history, history.best_epoch
        return Totals()

    def within_epoch(self, totals: Totals) -> None:
        """Write a checkpoint of the epoch under way, if one is due and possible here."""
        if self._out is None or time.monotonic() - self._saved < EVERY:
            return
        if self._session.is_restorable and self._session.position.batches:
            self._attempt(lambda: self._write_checkpoint(totals))

    def after_epoch(self, history: History) -> History:
        """Hold the weights if they are the best, keep them if they reach ``recipe.keep_from``; write what there is.

        Returns the history with the best epoch so far.
        """
        record = history.records[-1]
        accuracy = record.validation_accuracy
        if accuracy is None or accuracy > self._held_accuracy:
            self._held, self._held_accuracy, self._held_epoch = weights.state(self._net), accuracy or 0.0, record.epoch
            if accuracy is not None and accuracy >= history.recipe.keep_from:
                self._keep()
                self._attempt(self._write_best)
        self._history = replace(history, best_epoch=self.best_epoch)
        if self._out is not None:
            self._attempt(lambda: self._write_checkpoint(Totals()))
            self._attempt(self._write_history)
        return self._history

    def salvage(self) -> None:
        """After an early end, load the best weights so far into the network and keep them whatever their accuracy."""
        if self._held is not None:
            weights.restore(self._net, self._held)
            self._keep()

    def finish(self, history: History) -> History:
        """Write all remaining files; if some fail, still write the others and then raise the first error."""
        self._history = replace(history, best_epoch=self.best_epoch)
        if self._out is None:
            return self._history
        ended = history.stopped in ("finished", "target", "diverged")  # it would end there again
        lost = ended or (history.stopped == "failed" and not self._has_progress)
        if not history.records and lost:  # leave the directory to the next run
            for name in (HISTORY, CHECKPOINT):
                (self._out / name).unlink(missing_ok=True)
            return self._history
        failures = []
        for write in (self._write_best, self._write_final, self._write_history):
            try:
                write()
            except ZooError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        if ended and not (self._is_tested_later and history.stopped != "diverged"):
            run_folder.complete(self._out, self._history)
        return self._history

    def _keep(self) -> None:
        self.best_epoch = self._held_epoch
        self._unwritten = self._held

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write; a disk that is full for a moment should not end hours of training."""
        try:
            write()
        except ZooError as error:
            warnings.warn(f"{error}; training goes on, and it is written again later", RuntimeWarning, stacklevel=4)

    def _write_best(self) -> None:
        if self._out is not None and self._unwritten is not None:
            weights.save_state(self._unwritten, self._out / BEST)
            self._unwritten = None

    def _write_final(self) -> None:
        if self._out is not None and self._history.stopped in ("finished", "target"):
            weights.save_parameters(self._net, self._out / FINAL)

    def _write_history(self) -> None:
        if self._out is not None:
            self._history.write(self._out / HISTORY)

    def _write_checkpoint(self, totals: Totals) -> None:
        assert self._out is not None
        held = {_BEST + name: array for name, array in (self._held or {}).items()}
        checkpoint = Checkpoint(
            self._origin, self._history, self._session.position, totals, self._held_epoch, self._held_accuracy
        )
        checkpoint.write(self._out / CHECKPOINT, {**self._session.arrays(), **held})
        self._saved, self._has_progress = time.monotonic(), checkpoint.has_progress
