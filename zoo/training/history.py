"""What a training run leaves behind besides the weights."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.errors import ZooError
from zoo.io import files, schema
from zoo.recipes import Recipe
from zoo.training.evaluation import Evaluation


@dataclass(frozen=True)
class EpochRecord:
    """One epoch; accuracies between 0 and 1, losses in nats per image."""

    epoch: int  # from 1
    learning_rate: float
    train_loss: float  # running: of each batch before its update
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
    """What the final weights amount to on the test images."""

    images: int
    errors: int
    accuracy: float
    loss: float | None  # nats per image; None where it is not finite

    @classmethod
    def of(cls, evaluation: Evaluation) -> Score:
        """The score that ``evaluation`` amounts to; a loss that is not finite becomes None."""
        loss = evaluation.loss if math.isfinite(evaluation.loss) else None
        return cls(len(evaluation.labels), evaluation.errors, evaluation.accuracy, loss)


@dataclass(frozen=True)
class Command:
    """What ``python -m zoo train`` knows of a run besides."""

    line: str  # as typed
    date: str  # of its start, UTC
    model: str
    recipe: str | None  # its name; None where settings other than seed and dtype were given
    machine: str
    software: str
    revision: str | None  # of this source tree, with "+" where it had uncommitted changes
    training_images: int
    validation_images: int
    sha256: str | None = None  # of final.params; None where there is none
    test: Score | None = None


@dataclass(frozen=True)
class History:
    """A run of :func:`zoo.fit`, epoch by epoch."""

    recipe: Recipe
    data: str  # where the training images come from
    contexts: tuple[str, ...]
    threads: int  # of the CPU
    records: tuple[EpochRecord, ...] = ()
    best_epoch: int | None = None  # whose weights were kept as the best
    stopped: str = (
        "running"  # then "finished", "target" (``recipe.stop_at`` reached), "interrupted", "diverged" or "failed"
    )

    command: Command | None = None  # that started it, if one did

    @property
    def seconds(self) -> float:
        """Of training, without validation."""
        return sum(record.seconds for record in self.records)

    def to_json(self) -> str:
        """The content of ``history.json``, from which :meth:`read` makes an equal history."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> History:
        """The history in the file ``path``; :class:`ZooError` says what is wrong with it."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ZooError(f"cannot read {path}: {error.strerror or error}") from None
        return schema.build(cls, schema.parse(content, str(path)), str(path))

    def write(self, path: Path) -> None:
        """Put the history into the file ``path``, whole or not at all; :class:`ZooError` where it cannot be written."""
        files.write_text(path, self.to_json())
