"""The record of a training run, saved alongside its weights."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.io import files, schema
from zoo.recipes import Recipe
from zoo.training.evaluation import Evaluation


@dataclass(frozen=True)
class EpochRecord:
    """The results of one epoch; accuracies between 0 and 1, losses in nats per image."""

    epoch: int  # from 1
    learning_rate: float
    train_loss: float  # running mean: each batch is measured before its update
    train_accuracy: float
    validation_loss: float | None  # after the epoch; None without validation data
    validation_accuracy: float | None
    seconds: float  # of training, without the validation

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: loss {self.train_loss:.4f}, accuracy {self.train_accuracy:.2%}"
        if self.validation_accuracy is not None:
            text += f", validation {self.validation_accuracy:.2%}"
        return text


@dataclass(frozen=True)
class Score:
    """The result of the final weights on the test images."""

    images: int
    errors: int
    accuracy: float
    loss: float | None  # nats per image; None if it is not finite

    @classmethod
    def of(cls, evaluation: Evaluation) -> Score:
        """Create the score of ``evaluation``; a loss that is not finite becomes None."""
        loss = evaluation.loss if math.isfinite(evaluation.loss) else None
        return cls(len(evaluation.labels), evaluation.errors, evaluation.accuracy, loss)


@dataclass(frozen=True)
class Command:
    """What ``python -m zoo train`` adds to the record of a run."""

    line: str  # as typed, but for absolute paths
    date: str  # start of the run, UTC
    model: str
    recipe: str | None  # its name; None if settings other than seed and dtype were given
    machine: str
    software: str
    revision: str | None  # of this source tree, with "+" if it had uncommitted changes
    training_images: int
    validation_images: int
    sha256: str | None = None  # of final.params; None if there is none
    test: Score | None = None
    # As typed, their bytes as Latin-1, to resume with. They may tell paths, and are left out of history.json.
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class History:
    """A run of :func:`zoo.fit`, epoch by epoch."""

    recipe: Recipe
    data: str  # where the training images come from
    contexts: tuple[str, ...]
    threads: int  # of the CPU
    records: tuple[EpochRecord, ...] = ()
    best_epoch: int | None = None  # the epoch whose weights were kept as the best
    stopped: str = (
        "running"  # then "finished", "target" (``recipe.stop_at`` reached), "interrupted", "diverged" or "failed"
    )

    command: Command | None = None  # the command that started the run, if any

    @property
    def seconds(self) -> float:
        """Training time in seconds, without validation."""
        return sum(record.seconds for record in self.records)

    def to_json(self) -> str:
        """Return the content of ``history.json``, from which :meth:`read` restores an equal history."""
        facts = asdict(self)
        if self.command is not None:
            del facts["command"]["arguments"]
        return json.dumps(facts, indent=2, allow_nan=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> History:
        """Read the history in the file ``path``; :class:`ZooError` says what is wrong with it."""
        return schema.build(cls, schema.parse(files.read(path), str(path)), str(path))

    def write(self, path: Path) -> None:
        """Write the history to the file ``path`` atomically; raises :class:`ZooError` if it cannot be written."""
        files.write_text(path, self.to_json())
