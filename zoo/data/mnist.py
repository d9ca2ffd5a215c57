"""MNIST, and data sets of the same shapes, in memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoo.data import fetch, idx
from zoo.data.catalogue import DATASETS, PublishedDataset
from zoo.errors import DataError
from zoo.io import places
from zoo.io.files import hexdigest


@dataclass(frozen=True)
class Dataset:
    """Images ``(n, 28, 28)`` uint8, from 0 (background) to 255 (ink), and labels ``(n,)`` uint8, from 0 to 9."""

    images: np.ndarray
    labels: np.ndarray
    source: str = "memory"  # where the images come from, for display
    synthetic: bool = False  # True: random pixels that only measure speed
    scale: float = 1 / 255  # factor for pixels before a network sees them

    def __post_init__(self) -> None:
        """Raise :class:`DataError` for arrays that are not what the fields promise."""
        for name in ("images", "labels"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise DataError(f"{name} must be a NumPy array, not a {type(getattr(self, name)).__name__}")
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (28, 28):
            raise DataError(f"images must be uint8 (n, 28, 28), not {self.images.dtype} {self.images.shape}")
        if self.labels.dtype != np.uint8 or self.labels.ndim != 1:
            raise DataError(f"labels must be uint8 (n,), not {self.labels.dtype} {self.labels.shape}")
        if not len(self.labels):
            raise DataError(f"{self.source} holds no images")
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{self.source}: {len(self.images)} images and {len(self.labels)} labels do not go together"
            )
        if self.labels.max() > 9:
            raise DataError(f"{self.source}: labels go up to {self.labels.max()}, not from 0 to 9")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, part: slice) -> Dataset:
        """A part of the data set, such as ``train[:-5000]``, without a copy."""
        if not isinstance(part, slice):
            raise TypeError(f"a data set is cut with a slice such as [:100], not with {part!r}")
        return replace(self, images=self.images[part], labels=self.labels[part])

    def raw(self) -> Dataset:
        """The same data set, but a network sees its pixels as 0 to 255 instead of 0 to 1."""
        return replace(self, scale=1.0, source=f"{self.source}, pixels from 0 to 255")


@dataclass(frozen=True)
class MNIST:
    """60,000 training and 10,000 test images with their labels, as :class:`Dataset` or as plain arrays."""

    train: Dataset
    test: Dataset

    @property
    def train_images(self) -> np.ndarray:
        """Training images ``(n, 28, 28)`` uint8, from 0 (background) to 255 (ink)."""
        return self.train.images

    @property
    def train_labels(self) -> np.ndarray:
        """Training labels ``(n,)`` uint8, from 0 to 9."""
        return self.train.labels

    @property
    def test_images(self) -> np.ndarray:
        """Test images ``(n, 28, 28)`` uint8, from 0 (background) to 255 (ink)."""
        return self.test.images

    @property
    def test_labels(self) -> np.ndarray:
        """Test labels ``(n,)`` uint8, from 0 to 9."""
        return self.test.labels

    @property
    def source(self) -> str:
        """Where the images come from, for display."""
        return self.train.source


def load_mnist(root: str | os.PathLike[str] | None = None) -> MNIST:
    """Load MNIST from the folder ``root``, else from ``MNIST_DIR``, else from the cache, which is filled if needed.

    A folder holds the four IDX files, raw or gzipped. A folder named by ``root`` or ``MNIST_DIR`` may hold other data
    of the same format, such as Fashion-MNIST; ``source`` then says that it is not MNIST. In the cache, only the
    canonical files count, by their SHA-256. Raises :class:`DataError` if files are missing or damaged.
    """
    return _load(DATASETS["mnist"], root)


def load_fashion_mnist(root: str | os.PathLike[str] | None = None) -> MNIST:
    """Load Fashion-MNIST, ten kinds of clothes in MNIST's shapes, from ``root``, ``FASHION_MNIST_DIR`` or the cache.

    Otherwise like :func:`load_mnist`.
    """
    return _load(DATASETS["fashion-mnist"], root)


def _load(dataset: PublishedDataset, root: str | os.PathLike[str] | None) -> MNIST:
    folder = _folder(dataset, root)
    if folder is None:
        folder = fetch.cache(dataset)
        found, canonical = fetch.load(dataset, folder), True
    else:
        found = {name: (path, idx.read(path)) for name, path in locate(dataset, root).items()}
        canonical = all(hexdigest(content) == dataset.sha256[name] for name, (_, content) in found.items())
    train_images, train_labels, test_images, test_labels = dataset.sha256
    source = places.name(folder) + ("" if canonical else f" (not the canonical {dataset.title} files)")

    def part(images: str, labels: str) -> Dataset:
        (images_path, images_content), (labels_path, labels_content) = found[images], found[labels]
        pixels = idx.decode(images_content, (None, 28, 28), str(images_path))
        digits = idx.decode(labels_content, (None,), str(labels_path))
        if digits.size and digits.max() > 9:
            raise DataError(f"{labels_path} is damaged: its labels go up to {digits.max()}, not from 0 to 9")
        if len(pixels) != len(digits):
            raise DataError(f"{images_path} holds {len(pixels)} images and {labels_path} {len(digits)} labels")
        return Dataset(pixels, digits, source)

    return MNIST(part(train_images, train_labels), part(test_images, test_labels))


def locate(dataset: PublishedDataset, root: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """The paths of the four files by name: in ``root``, else in the folder that the variable names, else in the cache.

    Files may be raw or gzipped. The cache is filled first if needed. Raises :class:`DataError` if a file is missing.
    """
    folder = _folder(dataset, root)
    if folder is None:
        folder = fetch.cache(dataset)
        return {name: folder / path.name for name, path in fetch.ensure(dataset, folder).items()}
    paths = {name: path for name in dataset.sha256 if (path := fetch.find(folder, name)) is not None}
    missing = [name for name in dataset.sha256 if name not in paths]
    if missing:
        raise DataError(
            f"{folder}{'' if root is not None else f' ({dataset.variable})'} lacks {', '.join(missing)}, raw or as "
            ".gz: name a folder that has all four, or none for the cache"
        )
    return paths


def _folder(dataset: PublishedDataset, root: str | os.PathLike[str] | None) -> Path | None:
    """The folder that the caller or the environment names; None for the cache."""
    return Path(root) if root is not None else named_folder(dataset)


def named_folder(dataset: PublishedDataset) -> Path | None:
    """The folder that the data set's environment variable names, None if it is not set."""
    named = os.environ.get(dataset.variable)
    return Path(named) if named else None


def synthetic(train: int = 60_000, test: int = 10_000, seed: int = 0) -> MNIST:
    """Random pixels and labels in MNIST's shapes, to measure speed; there is nothing to learn."""
    random = np.random.default_rng(seed)

    def dataset(count: int) -> Dataset:
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, count, dtype=np.uint8)
        return Dataset(images, labels, "synthetic data (random pixels, not MNIST)", synthetic=True)

    return MNIST(dataset(train), dataset(test))
