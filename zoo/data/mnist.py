"""The MNIST data set in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoo.data import fetch, idx
from zoo.errors import DataError
from zoo.files import hexdigest


@dataclass(frozen=True)
class Dataset:
    """Images ``(n, 28, 28)`` uint8, 0 the background and 255 ink, and their labels ``(n,)`` uint8, 0 to 9."""

    images: np.ndarray
    labels: np.ndarray
    source: str = "memory"  # where they come from, for people to read
    synthetic: bool = False  # True: random pixels that only measure speed

    def __post_init__(self) -> None:
        """Refuse arrays that are not what the fields promise."""
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (28, 28):
            raise DataError(f"images must be uint8 (n, 28, 28), not {self.images.dtype} {self.images.shape}")
        if self.labels.shape != (len(self.images),):
            raise DataError(
                f"{self.source}: {len(self.images)} images and labels of shape {self.labels.shape} do not go together"
            )
        if not len(self.labels):
            raise DataError(f"{self.source} holds no images")
        if self.labels.min() < 0 or self.labels.max() > 9:
            raise DataError(
                f"{self.source}: labels go from {self.labels.min()} to {self.labels.max()}, not from 0 to 9"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, part: slice) -> Dataset:
        """A part of the data set, such as ``train[:-5000]``, without a copy."""
        return replace(self, images=self.images[part], labels=self.labels[part])


@dataclass(frozen=True)
class MNIST:
    """60,000 training and 10,000 test images with their labels, as :class:`Dataset` or as plain arrays."""

    train: Dataset
    test: Dataset

    @property
    def train_images(self) -> np.ndarray:
        return self.train.images

    @property
    def train_labels(self) -> np.ndarray:
        return self.train.labels

    @property
    def test_images(self) -> np.ndarray:
        return self.test.images

    @property
    def test_labels(self) -> np.ndarray:
        return self.test.labels

    @property
    def source(self) -> str:
        return self.train.source


def load_mnist(root: str | os.PathLike | None = None) -> MNIST:
    """MNIST from the folder ``root``, else from ``MNIST_DIR``, else from the cache, which is filled first if need be.

    A folder holds the four IDX files, raw or gzipped. One that the caller names may hold other data of
    the same format, Fashion-MNIST say, and ``source`` then says that it is not MNIST; in the cache only
    the canonical files count, by their SHA-256. Raises :class:`DataError` for what is missing or damaged.
    """
    named = os.fspath(root) if root is not None else os.environ.get("MNIST_DIR")
    if named is not None:
        folder = Path(named)
        paths = {name: fetch.find(folder, name) for name in fetch.FILES}
        missing = [name for name, path in paths.items() if path is None]
        if missing:
            raise DataError(
                f"{folder}{'' if root is not None else ' (MNIST_DIR)'} lacks {', '.join(missing)}, raw or as .gz: "
                "name a folder that has all four, or none for the cache"
            )
    else:
        folder = fetch.cache()
        paths = fetch.ensure(folder)
    contents = {name: idx.read(path) for name, path in paths.items()}
    canonical = all(hexdigest(content) == fetch.FILES[name] for name, content in contents.items())
    source = str(folder) if canonical else f"{folder} (not the canonical MNIST files)"

    def dataset(images: str, labels: str) -> Dataset:
        return Dataset(
            idx.decode(contents[images], (None, 28, 28), str(paths[images])),
            idx.decode(contents[labels], (None,), str(paths[labels])),
            source,
        )

    return MNIST(
        dataset("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        dataset("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
    )


def synthetic(train: int = 60_000, test: int = 10_000, seed: int = 0) -> MNIST:
    """Random pixels and labels in MNIST's shapes: enough to measure speed, nothing to be learnt."""
    random = np.random.default_rng(seed)

    def dataset(count: int) -> Dataset:
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        return Dataset(images, labels, "synthetic data (random pixels, not MNIST)", synthetic=True)

    return MNIST(dataset(train), dataset(test))
