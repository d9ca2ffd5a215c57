"""What a training run leaves behind besides the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from zoo.recipes import Recipe


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

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"
