"""``fit``: the one loop that trains every model on every context."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from zoo.data import Dataset
from zoo.errors import DivergenceError, ZooError
from zoo.graph.execution import FLOAT32, Execution, Placement
from zoo.models import weights
from zoo.progress import progress_bar
from zoo.recipes import Recipe
from zoo.runtime import STATUS, mx
from zoo.training import scaling
from zoo.training.checkpoint import Origin
from zoo.training.checkpointer import Checkpointer
from zoo.training.evaluation import Predictor, place
from zoo.training.history import Command, EpochRecord, History
from zoo.training.interrupt import Interruption
from zoo.training.session import Totals, TrainingSession

if TYPE_CHECKING:
    from tqdm import tqdm

_SAMPLE = 500  # training images that replace validation data when only divergence is checked


class TrainingInterrupted(KeyboardInterrupt):
    """Raised after Ctrl-C during :func:`fit`, once results are saved; ``history`` holds the completed epochs."""

    def __init__(self, history: History) -> None:
        super().__init__("training was interrupted")
        self.history = history


def fit(
    net: mx.gluon.HybridBlock,
    train: Dataset,
    validation: Dataset | None = None,
    recipe: Recipe = Recipe(),
    ctx: Placement = None,
    out: Path | str | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool | None = None,
    resume: bool = False,
    command: Command | None = None,
) -> History:
    """Train ``net``, which maps pixels ``(batch, 1, 28, 28)`` to logits ``(batch, 10)``, with softmax cross-entropy.

    The data stay on the devices, and results are read a few batches late, so that within an epoch no device waits for
    the host. Several contexts share every batch. On the CPU, the same weights, data, recipe and number of threads give
    the same result bit for bit. Afterwards ``net`` holds the final weights.

    Args:
        validation: evaluated after every epoch; decides which weights are the best and when to stop.
        ctx: one context or several; None keeps the network where it is; an execution also sets the dtype.
        out: directory for ``final.params``, ``best.params`` (the epoch with the highest validation accuracy, if that
            reached ``recipe.keep_from``), ``history.json`` and, until the end, ``checkpoint.params``; each run needs
            its own.
        on_epoch: called with the record of every epoch.
        progress: a progress bar on stderr; None shows it on terminals and in notebooks.
        resume: go on with the run in ``out``, from its last checkpoint, if there is one; its network, data and recipe
            must be the same. On the same processor, threads and software, the weights become what they would have
            become without the interruption, bit for bit.
        command: recorded in the history.

    Raises:
        DivergenceError: the loss is no longer finite; names epoch, batch and learning rate.
        TrainingInterrupted: Ctrl-C or SIGTERM.
        ZooError: the recipe does not fit the data, or ``out`` cannot be written, is in use or holds another run.

    If training ends early for any reason after a complete epoch, ``net`` and ``best.params`` hold the best weights so
    far, whatever their accuracy.
    """
    execution = place(net, ctx, recipe.dtype)
    if recipe.stop_at is not None and validation is None:
        raise ZooError("stop_at needs validation data to stop at")
    if validation is not None and validation.scale != train.scale:
        raise ZooError("the training and the validation images must both be raw, or both be scaled to 0 to 1")
    recipe = replace(recipe, dtype=execution.dtype)
    mx.random.seed(recipe.seed)
    session = TrainingSession(net, train, recipe, execution)
    begun = History(recipe, train.source, tuple(map(str, execution.contexts)), STATUS.threads, command=command)
    if resume and out is None:
        raise ZooError("resume needs out, the directory of the run to go on with")
    checkpointer = Checkpointer(net, session, Path(out) if out is not None else None)
    origin = partial(Origin.of, net, train, validation, execution)

    with ExitStack() as stack:
        history, totals = stack.enter_context(checkpointer.claimed(begun, origin, resume))
        interruption = stack.enter_context(Interruption())
        done = len(history.records) * len(train) + totals.images
        bar = stack.enter_context(progress_bar(progress, total=recipe.epochs * len(train), initial=done, unit="img"))
        try:
            while (end := _end(history)) is None:
                record = _train(session, len(history.records) + 1, totals, checkpointer, interruption, bar)
                record = _validate(net, train, validation, execution, record)
                totals = Totals()
                history = checkpointer.after_epoch(replace(history, records=(*history.records, record)))
                if on_epoch is not None:
                    on_epoch(record)
                if interruption.requested and _end(history) is None:
                    raise _Interrupted
        except BaseException as error:  # keep what was reached, whatever ended the run
            with contextlib.suppress(mx.base.MXNetError):  # more errors of the same cause may be pending in the engine
                mx.nd.waitall()
            checkpointer.salvage()
            history = checkpointer.finish(replace(history, stopped=_reason(error)))
            if isinstance(error, _Interrupted):
                raise TrainingInterrupted(history) from None
            raise
        return checkpointer.finish(replace(history, stopped=end))


def _end(history: History) -> str | None:
    """How a run with these epochs ends, None if more are to come."""
    recipe, records = history.recipe, history.records
    if recipe.stop_at is not None and records and (records[-1].validation_accuracy or 0) >= recipe.stop_at:
        return "target"
    return "finished" if len(records) >= recipe.epochs else None


class _Interrupted(Exception):
    """Raised to leave the epochs after a requested interruption."""


def _reason(error: BaseException) -> str:
    if isinstance(error, (_Interrupted, KeyboardInterrupt)):
        return "interrupted"
    return "diverged" if isinstance(error, DivergenceError) else "failed"


def _train(
    session: TrainingSession,
    epoch: int,
    totals: Totals,
    checkpointer: Checkpointer,
    interruption: Interruption,
    bar: tqdm[NoReturn],
) -> EpochRecord:
    """Train one epoch, or what is left of it after ``totals``; its record lacks the validation."""
    mx.nd.waitall()
    start = time.perf_counter() - totals.seconds
    for number, result in enumerate(session.epoch(), start=session.position.batches + 1):
        if not math.isfinite(result.loss):
            raise _diverged(f"the loss is {result.loss}", epoch, f", batch {number},", session.learning_rate)
        totals = totals.plus(result)
        if not bar.disable:
            running = f"epoch {epoch}, loss {totals.loss / totals.images:.4f}"
            bar.set_postfix_str(f"{running}, accuracy {totals.correct / totals.images:.2%}", refresh=False)
            bar.update(result.images)
        if interruption.requested:
            raise _Interrupted
        checkpointer.within_epoch(replace(totals, seconds=time.perf_counter() - start))
    session.apply_average()
    mx.nd.waitall()
    seconds = time.perf_counter() - start
    if session.loss_scale is not None and session.loss_scale < scaling.LOWEST:
        what = f"the gradients overflow float16, whatever the loss is scaled by (down to {session.loss_scale:.1e}),"
        raise _diverged(what, epoch, "", session.learning_rate)
    loss, accuracy = totals.loss / totals.images, totals.correct / totals.images
    return EpochRecord(epoch, session.learning_rate, loss, accuracy, None, None, seconds)


def _validate(
    net: mx.gluon.HybridBlock,
    train: Dataset,
    validation: Dataset | None,
    execution: Execution,
    record: EpochRecord,
) -> EpochRecord:
    """Add the validation to the record, after checking that the epoch's last update left a finite network.

    The training loss is measured before that update, and ReLU silently turns NaN into 0, so the weights are checked as
    well as the loss.
    """
    weights.merge_statistics(net)
    in_float32 = replace(execution, dtype=FLOAT32)
    evaluation = Predictor(net, validation if validation is not None else train[:_SAMPLE], in_float32).evaluate()
    arrays = weights.state(net).values()
    if not (math.isfinite(evaluation.loss) and all(np.isfinite(array).all() for array in arrays)):
        raise _diverged(
            "the network is no longer finite", record.epoch, ", after its last batch,", record.learning_rate
        )
    if validation is None:
        return record
    return replace(record, validation_loss=evaluation.loss, validation_accuracy=evaluation.accuracy)


def _diverged(what: str, epoch: int, where: str, learning_rate: float) -> DivergenceError:
    return DivergenceError(
        f"training diverged: {what} in epoch {epoch}{where} with the learning rate {learning_rate:g}; try a lower one"
    )
