"""``fit``: the one loop that trains every model on every context."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from zoo import files, weights
from zoo.data import Dataset
from zoo.errors import DivergenceError, ZooError
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training.evaluation import Evaluation, Predictor, place
from zoo.training.history import EpochRecord, History
from zoo.training.interrupt import Interruption
from zoo.training.session import TrainingSession


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`fit`, raised once everything is in order; ``history`` holds the epochs completed."""

    def __init__(self, history: History) -> None:
        super().__init__("training was interrupted")
        self.history = history


def fit(
    net: mx.gluon.HybridBlock,
    train: Dataset,
    validation: Dataset | None = None,
    recipe: Recipe = Recipe(),
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
    out: Path | str | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool | None = None,
) -> History:
    """Train ``net``, which maps pixels ``(batch, 1, 28, 28)`` to logits ``(batch, 10)``, with softmax cross-entropy.

    The data stay on the devices; nothing waits for a device within an epoch. Several contexts share
    every batch. On the CPU, the same weights, data, recipe and number of threads give the same result
    bit for bit. ``net`` holds the final weights afterwards.

    Args:
        validation: evaluated after every epoch; decides which weights are the best and when to stop.
        ctx: one context or several; None for where the network is.
        out: directory for ``final.params``, ``best.params`` (the epoch with the highest validation
            accuracy, if that reached ``recipe.keep_from``) and ``history.json``.
        on_epoch: called with every epoch's record.
        progress: a progress bar on stderr; None shows it on terminals only.

    Raises:
        DivergenceError: the loss is no longer finite; names epoch, batch and learning rate.
        TrainingInterrupted: Ctrl-C. ``net`` then holds the best weights so far, if there are any.
        ZooError: the recipe does not fit the data, or ``out`` cannot be written.
    """
    contexts = place(net, ctx)
    if recipe.stop_at is not None and validation is None:
        raise ZooError("stop_at needs validation data to stop at")
    keeper = _Keeper(net, recipe, files.output_directory(out) if out is not None else None)
    mx.random.seed(recipe.seed)
    session = TrainingSession(net, train, recipe, contexts)
    predictor = Predictor(net, validation, contexts) if validation is not None else None
    records: list[EpochRecord] = []
    stopped = "finished"
    with Interruption() as interruption, _bar(recipe.epochs * len(train), progress) as bar:
        for epoch in range(1, recipe.epochs + 1):
            trained = _train(session, epoch, interruption, bar)
            evaluation = predictor.evaluate() if predictor is not None and trained is not None else None
            if trained is None or interruption.requested and evaluation is None:
                stopped = "interrupted"
                break
            records.append(_record(epoch, session.learning_rate, trained, evaluation))
            keeper.consider(records[-1])
            if on_epoch is not None:
                on_epoch(records[-1])
            if recipe.stop_at is not None and evaluation.accuracy >= recipe.stop_at:
                stopped = "target"
                break
            if interruption.requested:
                stopped = "interrupted"
                break
    history = History(recipe, tuple(records), keeper.best_epoch, stopped)
    if stopped == "interrupted":
        keeper.restore_best()
    keeper.finish(history)
    if stopped == "interrupted":
        raise TrainingInterrupted(history)
    return history


def _train(
    session: TrainingSession, epoch: int, interruption: Interruption, bar: tqdm
) -> tuple[float, float, float] | None:
    """One epoch: mean loss, accuracy and seconds; None where it was interrupted."""
    images = correct = 0
    loss = 0.0
    mx.nd.waitall()
    start = time.perf_counter()
    for number, result in enumerate(session.epoch(), start=1):
        if not math.isfinite(result.loss):
            mx.nd.waitall()
            raise DivergenceError(
                f"training diverged: the loss is {result.loss} in epoch {epoch}, batch {number}, "
                f"with the learning rate {session.learning_rate:g}; a lower one may help"
            )
        images += result.images
        loss += result.loss
        correct += result.correct
        if not bar.disable:
            bar.set_postfix_str(
                f"epoch {epoch}, loss {loss / images:.4f}, accuracy {correct / images:.2%}", refresh=False
            )
            bar.update(result.images)
        if interruption.requested:
            mx.nd.waitall()
            return None
    mx.nd.waitall()
    return loss / images, correct / images, time.perf_counter() - start


def _record(
    epoch: int, learning_rate: float, trained: tuple[float, float, float], evaluation: Evaluation | None
) -> EpochRecord:
    loss, accuracy, seconds = trained
    return EpochRecord(
        epoch=epoch,
        learning_rate=learning_rate,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=evaluation.loss if evaluation else None,
        validation_accuracy=evaluation.accuracy if evaluation else None,
        seconds=seconds,
    )


def _bar(images: int, progress: bool | None) -> tqdm:
    return tqdm(
        total=images, unit="img", unit_scale=True, leave=False, dynamic_ncols=True,
        disable=None if progress is None else not progress,
    )  # fmt: skip


class _Keeper:
    """Holds on to the best weights, in memory and on disk."""

    def __init__(self, net: mx.gluon.HybridBlock, recipe: Recipe, out: Path | None) -> None:
        self._net, self._recipe, self._out = net, recipe, out
        self._best: dict | None = None
        self._best_accuracy = -1.0
        self._unwritten = False
        self.best_epoch: int | None = None

    def consider(self, record: EpochRecord) -> None:
        """Keep the weights if this epoch's validation accuracy is the highest and high enough."""
        accuracy = record.validation_accuracy
        if accuracy is None or accuracy < self._recipe.keep_from or accuracy <= self._best_accuracy:
            return
        self._best, self._best_accuracy, self.best_epoch = weights.state(self._net), accuracy, record.epoch
        self._unwritten = self._out is not None
        try:
            self._write_best()
        except ZooError as error:  # hours of training should not end with a disk that is full for a moment
            warnings.warn(f"{error}; training goes on and they are written again later", RuntimeWarning, stacklevel=3)

    def restore_best(self) -> None:
        if self._best is not None:
            weights.restore(self._net, self._best)

    def finish(self, history: History) -> None:
        """Write what is still to be written."""
        if self._out is None:
            return
        self._write_best()
        if history.stopped != "interrupted":
            weights.save_parameters(self._net, self._out / "final.params")
        files.write_text(self._out / "history.json", history.to_json())

    def _write_best(self) -> None:
        if self._unwritten:
            weights.save_state(self._best, self._out / "best.params")
            self._unwritten = False
