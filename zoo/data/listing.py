"""Which images go into a RecordIO file, with what index and label."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.data.mnist import Dataset
from zoo.errors import DataError

EXTENSIONS = (".jpeg", ".jpg", ".png")


class Entry(NamedTuple):
    """A line of a ``.lst`` file."""

    index: int  # type: ignore[assignment]  # in place of tuple.index
    label: float
    path: str  # within the folder


@dataclass(frozen=True)
class Source:
    """Images in order, and where to get them."""

    entries: list[Entry]
    image: Callable[[Entry], Path | np.ndarray]
    classes: tuple[tuple[str, float], ...]  # name and label
    ignored: int = 0  # files without an image extension


def of_dataset(dataset: Dataset, extension: str) -> Source:
    """The images of ``dataset``, named as :func:`zoo.unpack` would name the files."""
    entries = [
        Entry(index, float(label), f"{label}/{index:05d}{extension}") for index, label in enumerate(dataset.labels)
    ]
    classes = tuple((str(label), float(label)) for label in sorted(set(dataset.labels.tolist())))
    return Source(entries, lambda entry: dataset.images[entry.index], classes)


def of_folder(root: Path) -> Source:
    """The images in ``root`` and its subfolders, in im2rec's order; raises :class:`DataError` if there are none."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    paths: list[tuple[str, str]] = []  # the class, and the image's path within root
    ignored, seen = 0, set()

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename}: {error.strerror or error}")

    for folder, names, images in os.walk(root, onerror=refuse, followlinks=True):
        seen.add(os.path.realpath(folder))
        names[:] = sorted(name for name in names if os.path.realpath(Path(folder, name)) not in seen)
        for name in sorted(images):
            if os.path.splitext(name)[1].lower() in EXTENSIONS:  # noqa: PTH122  Path treats leading dots differently
                paths.append((os.path.relpath(folder, root), os.path.relpath(Path(folder, name), root)))
            else:
                ignored += 1
    if not paths:
        raise DataError(f"{root} holds no images ({', '.join(EXTENSIONS)})")
    classes = list(dict.fromkeys(name for name, _ in paths))
    try:
        labels = {name: float(int(name)) for name in classes}
        if len(set(labels.values())) < len(classes):
            raise ValueError
    except ValueError:
        labels = {name: float(number) for number, name in enumerate(classes)}
    entries = [Entry(index, labels[name], path) for index, (name, path) in enumerate(paths)]
    return Source(entries, lambda entry: root / entry.path, tuple(labels.items()), ignored)


def split(entries: Sequence[Entry], train_ratio: float, test_ratio: float) -> Iterator[tuple[str, Sequence[Entry]]]:
    """Split ``entries`` as im2rec does, but keep the images that im2rec loses when the ratios do not divide evenly."""
    if train_ratio == 1:
        yield "", entries
        return
    test = int(len(entries) * test_ratio)
    train = int(len(entries) * train_ratio) if train_ratio + test_ratio < 1 - 1e-9 else len(entries) - test
    for suffix, part in (
        ("_train", entries[test : test + train]),
        ("_val", entries[test + train :]),
        ("_test", entries[:test]),
    ):
        if part:
            yield suffix, part
