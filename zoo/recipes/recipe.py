"""The settings of a training run, apart from the network and the data."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from zoo.errors import UnknownName, ZooError
from zoo.recipes.augmentation import Augmentation
from zoo.registry import suggestion
from zoo.runtime.dtypes import DTYPES

if TYPE_CHECKING:
    import numpy as np

# The optimizers of MXNet 1.9.1 that train the zoo's models with their defaults; the first two take a momentum.
OPTIMIZERS = ("sgd", "nag", "adadelta", "adagrad", "adam", "ftml", "lamb", "nadam", "rmsprop")
_WITH_MOMENTUM = OPTIMIZERS[:2]
SCHEDULES = ("constant", "step", "exponential", "cosine", "one-cycle")
_FLOAT32_MAX = 3.4e38
_CONVERSIONS: Mapping[str, Callable[[Any], object]] = {"int": operator.index, "float": float, "str": str}


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run; with the network, the data and the seed they determine its result.

    ``learning_rate`` applies to the mean loss of a batch, as in ``gluon.Trainer.step(batch_size)``.
    """

    epochs: int = 10
    batch_size: int = 200
    optimizer: str = "sgd"  # one of OPTIMIZERS
    learning_rate: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"  # one of SCHEDULES, see learning_rates
    warmup: float = 0.0  # the share of all batches during which the learning rate rises to its highest
    label_smoothing: float = 0.0  # the share of every label that is spread over all classes
    ema: float = 0.0  # decay per batch; above 0, the result is the moving average of weights and running statistics
    augmentation: Augmentation | None = None
    seed: int = 0  # of shuffling, Dropout and augmentation
    dtype: str = "auto"  # one of DTYPES, or "auto" for the faster one on the machine
    keep_from: float = 0.0  # the best weights are kept once validation accuracy has reached this
    stop_at: float | None = None  # training ends once validation accuracy has reached this

    def __str__(self) -> str:
        parts = [self.optimizer, f"learning rate {self.learning_rate:g}"]
        if self.schedule != "constant" or self.warmup:
            parts[-1] += f" ({self.schedule}{f' after a warm-up of {self.warmup:.0%}' if self.warmup else ''})"
        for name in ("momentum", "weight_decay", "label_smoothing", "ema"):
            if getattr(self, name):
                parts.append(f"{name.replace('_', ' ')} {getattr(self, name):g}")
        if self.augmentation is not None:
            parts.append(f"augmentation ({self.augmentation})")
        epochs = f"{self.epochs} epoch{'s' * (self.epochs != 1)}"
        return ", ".join([*parts, f"batch {self.batch_size}, {epochs}, seed {self.seed}, {self.dtype}"])

    def learning_rates(self, batches: int) -> np.ndarray:
        """Return the learning rate of each batch of all epochs together: ``(batches,)`` float64.

        After the warm-up, "constant" keeps the rate, "step" divides it by 10 after half of all batches and again after
        three quarters, "exponential" reduces it by 2% after every epoch, "cosine" decays to 0 along half a cosine wave,
        and "one-cycle" decays to 0 linearly (Smith, Topin 2018).
        """
        import numpy as np

        progress = (np.arange(batches) + 0.5) / batches
        rising = progress < self.warmup
        left = np.where(rising, 1.0, (1 - progress) / (1 - self.warmup))
        shape = {
            "constant": np.ones(batches),
            "step": np.where(progress < 0.5, 1.0, np.where(progress < 0.75, 0.1, 0.01)),
            "exponential": 0.98 ** np.floor(progress * self.epochs),
            "cosine": (1 - np.cos(np.pi * left)) / 2,
            "one-cycle": left,
        }[self.schedule]
        return self.learning_rate * np.where(rising, progress / max(self.warmup, 1e-9), shape)

    def __post_init__(self) -> None:
        """Convert NumPy's numbers to Python's, and refuse impossible settings with :class:`ZooError`."""
        self._convert()
        self._check_numbers()
        self._check_kinds()
        self._check_names()
        if self.augmentation == Augmentation():  # nothing is deformed
            object.__setattr__(self, "augmentation", None)

    def _convert(self) -> None:
        """Convert the fields to plain numbers and strings."""
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if field.name == "augmentation" or value is None:
                continue
            try:
                object.__setattr__(self, field.name, _CONVERSIONS[kind.split(" ")[0]](value))
            except (TypeError, ValueError):
                raise ZooError(f"{field.name} must be a {kind}, not {value!r}") from None

    def _check_numbers(self) -> None:
        """Refuse numbers that are out of range."""
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ZooError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < _FLOAT32_MAX:
            raise ZooError(f"learning_rate must be a positive number, not {self.learning_rate}")
        for name in ("momentum", "weight_decay", "warmup", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ZooError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        for name in ("keep_from", "stop_at"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) <= 1:
                raise ZooError(f"{name} is an accuracy between 0 and 1, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**31:
            raise ZooError(f"seed must be between 0 and {2**31 - 1}, not {self.seed}")

    def _check_kinds(self) -> None:
        """Refuse an unknown dtype, and an augmentation of another type."""
        if self.dtype not in ("auto", *DTYPES):
            raise ZooError(f"dtype must be one of auto, {', '.join(DTYPES)}, not {self.dtype!r}")
        if not isinstance(self.augmentation, (Augmentation, type(None))):
            raise ZooError(f"augmentation must be a zoo.Augmentation or None, not {self.augmentation!r}")

    def _check_names(self) -> None:
        """Refuse an unknown schedule or optimizer, and momentum with one that takes none."""
        if self.schedule not in SCHEDULES:
            raise UnknownName(f"there is no schedule {self.schedule!r}: {suggestion(self.schedule, SCHEDULES)}")
        if self.optimizer not in OPTIMIZERS:
            raise UnknownName(f"there is no optimizer {self.optimizer!r}: {suggestion(self.optimizer, OPTIMIZERS)}")
        if self.momentum and self.optimizer not in _WITH_MOMENTUM:
            raise ZooError(f"{self.optimizer} takes no momentum: {' and '.join(_WITH_MOMENTUM)} do")
