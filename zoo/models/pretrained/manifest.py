"""``manifest.json``: a checked entry for every file in ``weights/``."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from zoo.errors import UnknownName, ZooError
from zoo.io import files, schema
from zoo.recipes import Recipe

FOLDER = Path(__file__).parent
TEST_IMAGES = 10_000
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Pretrained:
    """The facts about a file of weights; errors are counted over 10,000 images, in float32 on the CPU."""

    sha256: str
    bytes: int
    recipe: str | None  # its name; None if settings other than seed and dtype were given
    settings: Recipe
    command: str  # the training command
    date: str  # start of training, UTC
    machine: str
    software: str
    revision: str | None  # of the source tree, with "+" if it had uncommitted changes
    training_images: int
    validation_images: int  # held out; 0 if none were
    seconds: float  # of training, without validation
    validation_accuracy: float | None
    errors: int  # on the test images
    seeds: dict[str, int]  # test errors by seed, for every seed trained, including this one
    corruptions: dict[str, int]  # test errors by corruption
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        """Refuse impossible values with :class:`ZooError`."""
        if not _SHA256.fullmatch(self.sha256):
            raise ZooError(f"sha256 should be 64 hexadecimal digits, not {self.sha256!r}")
        if self.bytes < 1:
            raise ZooError(f"bytes should be positive, not {self.bytes}")
        for what, errors in {"errors": self.errors, **self.seeds, **self.corruptions}.items():
            if not 0 <= errors <= TEST_IMAGES:
                raise ZooError(f"{what}: {errors} is not between 0 and {TEST_IMAGES:,}")
        if self.seeds.get(str(self.settings.seed)) != self.errors:
            raise ZooError(f"seeds should have {self.errors} errors for the seed {self.settings.seed}")

    @property
    def accuracy(self) -> float:
        """Test accuracy, from 0 to 1."""
        return accuracy(self.errors)

    @property
    def accuracies(self) -> dict[str, float]:
        """Test accuracies from 0 to 1 by corruption; "clean" are the unchanged images."""
        return {name: accuracy(errors) for name, errors in {"clean": self.errors, **self.corruptions}.items()}

    @property
    def mean(self) -> float:
        """Mean test accuracy over the seeds."""
        return statistics.fmean(map(accuracy, self.seeds.values()))

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the test accuracy over the seeds; None if there is only one."""
        return statistics.stdev(map(accuracy, self.seeds.values())) if len(self.seeds) > 1 else None

    @property
    def over_seeds(self) -> str:
        """Mean and standard deviation as text."""
        if self.deviation is None:
            return f"{self.mean:.2%} of 1 seed"
        return f"{self.mean:.2%} ± {self.deviation:.2%} over {len(self.seeds)} seeds"


def accuracy(errors: int) -> float:
    """Return the share of the 10,000 test images that is classified correctly, from 0 to 1."""
    return 1 - errors / TEST_IMAGES


def entries() -> Mapping[str, Pretrained]:
    """Return the package's own entries by model; raises :class:`ZooError` if the manifest is damaged."""
    return _read_once(FOLDER)


def read(folder: Path) -> Mapping[str, Pretrained]:
    """Read the entries in ``folder`` by model; raises :class:`ZooError` if the manifest is missing or damaged."""
    path = folder / "manifest.json"
    raw = schema.parse(files.read(path), str(path))
    if not isinstance(raw, dict):
        raise ZooError(f"{path} should be an object with an entry for each model")
    return {name: schema.build(Pretrained, each, f"{path}: {name}") for name, each in raw.items()}


_read_once = cache(read)


def encode(content: Mapping[str, Pretrained]) -> bytes:
    """Encode ``content`` as ``manifest.json``, sorted by name."""
    raw = {name: asdict(each) for name, each in sorted(content.items())}
    return (json.dumps(raw, indent=1, ensure_ascii=False) + "\n").encode()


def entry(name: str) -> Pretrained:
    """Return the entry of the model ``name``; :class:`UnknownName` lists the models that have one."""
    known = entries()
    if name not in known:
        raise UnknownName(
            f"there are no pretrained weights for {name}: models with weights are {', '.join(known) or 'none yet'}"
        )
    return known[name]


def params(folder: Path, name: str) -> Path:
    """Return the path of the weights of the model ``name``."""
    return folder / "weights" / f"{name}.params"
