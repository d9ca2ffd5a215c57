"""Replacements for MXNet's own data loaders, which :mod:`zoo.runtime.mxnet_datasets` installs.

Every function takes MXNet and the original function, then the original's arguments. Files that the user already has
where MXNet would have put them are used first.
"""

from __future__ import annotations

import gzip
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from zoo.data import fetch, idx
from zoo.data.catalogue import DATASETS
from zoo.data.mnist import load_mnist, locate
from zoo.data.sources import Mirror
from zoo.errors import DataError
from zoo.io import files

if TYPE_CHECKING:
    from mxnet.gluon.data.vision import MNIST

_DATA = Path("data")  # where MXNet's tests keep files, below the current directory


def get_mnist(mx: ModuleType, original: Callable[..., object]) -> dict[str, np.ndarray]:
    """``mx.test_utils.get_mnist``: images (n, 1, 28, 28) float32 in [0, 1], and labels (n,) int8."""
    mnist = DATASETS["mnist"]
    here = {name: Path(f"{name}.gz") for name in mnist.sha256 if os.path.exists(f"{name}.gz")}  # noqa: PTH110
    paths = here if len(here) == len(mnist.sha256) else {**locate(mnist), **here}
    train_images, train_labels, test_images, test_labels = (paths[name] for name in mnist.sha256)

    def part(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
        pixels, digits = _read(images, labels, (28, 28))
        return np.divide(pixels[:, np.newaxis], np.float32(255), dtype=np.float32), digits.view(np.int8)

    train_data, train_label = part(train_images, train_labels)
    test_data, test_label = part(test_images, test_labels)
    return {"train_data": train_data, "train_label": train_label, "test_data": test_data, "test_label": test_label}


def get_mnist_ubyte(mx: ModuleType, original: Callable[..., object]) -> None:
    """``mx.test_utils.get_mnist_ubyte``, which puts the four IDX files, not gzipped, into the folder ``data``."""
    mnist = DATASETS["mnist"]
    wanted = {name: _DATA / name for name in mnist.sha256}
    missing = [name for name, path in wanted.items() if not path.exists()]
    if missing and (_DATA / "mnist.zip").exists():
        try:
            original()  # only unpacks the zip file
        except zipfile.BadZipFile:
            raise DataError(f"{_DATA / 'mnist.zip'} is not a whole zip file: delete it") from None
    elif missing:
        found = locate(mnist)
        files.output_directory(_DATA)
        for name in missing:
            with files.atomic(wanted[name]) as file:
                file.write(idx.read(found[name]))
    train_images, train_labels, test_images, test_labels = wanted.values()
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        _read(images, labels, (None, None))  # MNISTIter's error names neither the file nor the damage


def get_mnist_pkl(mx: ModuleType, original: Callable[..., object]) -> None:
    """``mx.test_utils.get_mnist_pkl``, which makes ``data/mnist.pkl.gz``: training, held-out and test images."""
    path = _DATA / "mnist.pkl.gz"
    if path.exists():
        return
    mnist = load_mnist()

    def part(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images.reshape(len(images), -1) / np.float32(256), labels.astype(np.int64)  # 256, as in the lost file

    train, test = mnist.train, mnist.test
    held_out = len(test)
    parts = (
        part(train.images[:-held_out], train.labels[:-held_out]),
        part(train.images[-held_out:], train.labels[-held_out:]),
        part(test.images, test.labels),
    )
    files.output_directory(_DATA)
    with files.atomic(path) as file, gzip.open(file, "wb", compresslevel=1) as compressed:
        pickle.dump(parts, compressed, protocol=4)


def get_data(mx: ModuleType, original: Callable[..., object], self: MNIST) -> None:
    """``MNIST._get_data``, which sets the images (n, 28, 28, 1) uint8 and the labels (n,) int32 of a data set."""
    root = Path(self._root)
    wanted = (self._train_data, self._train_label) if self._train else (self._test_data, self._test_label)
    names = [name[: -len(".gz")] for name, _ in wanted]
    dataset = DATASETS.get(self._namespace)
    if dataset is None or not dataset.sha256.keys() >= set(names):
        original(self)  # a subclass for other data
        return
    paths = {name: path for name in names if (path := fetch.canonical(dataset, root, name)) is not None}
    if set(names) - paths.keys():
        if all(_has_sha1(mx, root / name, sha1) for name, sha1 in wanted):
            original(self)  # a subclass for other data, which are here
            return
        repository = os.environ.get("MXNET_GLUON_REPO")  # the user's own mirror of the host that is gone
        if repository:
            mirror = Mirror(f"{repository.rstrip('/')}/gluon/dataset/{self._namespace}/")
            dataset = replace(dataset, sources=(mirror, *dataset.sources))
        paths = locate(dataset)
    images_path, labels_path = (paths[name] for name in names)
    pixels, digits = _read(images_path, labels_path, (28, 28))
    images, labels = pixels[..., np.newaxis], digits.astype(np.int32)
    if mx.util.is_np_array():
        self._data, self._label = (mx.np.array(each, dtype=each.dtype) for each in (images, labels))
    else:
        self._data, self._label = mx.nd.array(images, dtype=images.dtype), labels


def _has_sha1(mx: ModuleType, path: Path, sha1: str) -> bool:
    return path.is_file() and mx.gluon.utils.check_sha1(str(path), sha1)


def _read(images: Path, labels: Path, size: tuple[int | None, int | None]) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, height, width) and their labels (n,), both uint8, from two IDX files."""
    pixels = idx.decode(idx.read(images), (None, *size), str(images))
    values = idx.decode(idx.read(labels), (None,), str(labels))
    if len(pixels) != len(values):
        raise DataError(f"{images} holds {len(pixels)} images and {labels} {len(values)} labels")
    return pixels, values
