"""``.rec`` files as data: MXNet's ``ImageRecordIter``, with files and options checked first."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.console import mxnet_reason
from zoo.data import decoded, record_options, recordio
from zoo.data.mnist import Dataset
from zoo.data.recordio import Record
from zoo.errors import DataError, ZooError
from zoo.io import files, places
from zoo.runtime import STATUS, mx

_BATCH = 1000  # images decoded at a time


def image_record_iter(
    path_imgrec: str | os.PathLike[str],
    batch_size: int,
    data_shape: Sequence[int] = (1, 28, 28),
    **options: object,
) -> mx.io.DataIter:
    """A checked ``mx.io.ImageRecordIter``, which itself ignores misspelt options and aborts on damaged files.

    Raises :class:`zoo.errors.UnknownName` for an option that MXNet does not have, and :class:`zoo.errors.DataError` for
    a damaged ``.rec`` file, or a ``path_imgidx`` or ``path_imglist`` that does not match it. Pixels are float32 from 0
    to 255 unless ``scale`` or ``dtype`` say otherwise.
    """
    given = {"path_imgrec": path_imgrec, "batch_size": batch_size, "data_shape": data_shape, **options}
    settings = record_options.checked(given)
    path = Path(settings["path_imgrec"])
    idx, lst = (Path(settings[name]) if settings[name] else None for name in ("path_imgidx", "path_imglist"))
    records = recordio.check(path, idx, lst, settings["label_width"])
    record_options.check_together(settings, (recordio.format_and_size(record, path)[1] for record in records))
    images = _images(settings, records, path)
    if images == 0:
        part = f"part {settings['part_index']} of {settings['num_parts']}"
        raise DataError(f"{path}, {part}, holds no images: take fewer parts")
    if settings["batch_size"] > images:
        raise ZooError(f"the batch size {batch_size} is larger than the {images} images in {path_imgrec}")
    return _Batches({name: settings[name] for name in given if settings[name] is not None}, images)


def load_records(path: str | os.PathLike[str], num_parts: int = 1, part_index: int = 0) -> Dataset:
    """Load the digits of a ``.rec`` file, or of one of ``num_parts`` nearly equal parts of it, into memory.

    The file is checked and decoded once; afterwards, the user's cache holds the pixels, keyed by the file's content.
    An ``.idx`` file beside it must match. Colors become grey. Raises :class:`DataError` for a damaged file and for
    images that are not 28×28 digits with a label from 0 to 9.
    """
    path = Path(path)
    images, labels, _ = _decoded(path)
    if not 0 <= part_index < num_parts <= len(images):
        raise ZooError(
            f"part_index must be below num_parts, and num_parts at most {len(images)}, the images in {path}: "
            f"there is no part {part_index} of {num_parts}"
        )
    part = slice(*(len(images) * number // num_parts for number in (part_index, part_index + 1)))
    name = f", part {part_index} of {num_parts}" if num_parts > 1 else ""
    return Dataset(images[part], labels[part], f"{places.name(path)}{name}")


def decode_ahead(path: Path) -> bool:
    """Decode a ``.rec`` file as :func:`load_records` does; returns whether the cache holds the pixels now."""
    return _decoded(path)[2]


def _decoded(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    """The images and labels of a ``.rec`` file, and whether the cache holds them."""
    idx = path.parent / f"{path.stem}.idx"
    paths = [path, idx] if idx.exists() else [path]
    key = _key(paths)
    found = decoded.find(key)
    if found is not None:
        return *found, True
    found = _decode(*paths)
    is_kept = _key(paths) == key and decoded.keep(key, *found)  # unless the files have changed meanwhile
    return *found, is_kept


def _key(paths: Sequence[Path]) -> str:
    """A hash of what the pixels depend on: the contents of the files, and the version of MXNet that decodes them."""
    contents = (files.hexdigest(recordio.read(path)) for path in paths)
    return files.hexdigest(" ".join([*contents, mx.__version__]).encode())


def _decode(path: Path, idx: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images and labels of a ``.rec`` file with MXNet, after checking all that could make it fail."""
    records = recordio.check(path, idx)
    for record in records:
        _, size = recordio.format_and_size(record, path)
        where = recordio.where(record, path)
        if size != (28, 28):
            raise DataError(f"{where} is {size[0]}×{size[1]} pixels, and MNIST's models take 28×28")
        if len(record.labels) != 1 or record.labels[0] not in range(10):
            raise DataError(f"{where} has the label {record.labels[0]:g}, and digits have 0 to 9")
    settings = {"path_imgrec": path, "batch_size": min(_BATCH, len(records)), "data_shape": (1, 28, 28)}
    images, labels = [], []
    for batch in _Batches({**settings, "dtype": "uint8"}, len(records)):
        whole = settings["batch_size"] - batch.pad
        images.append(batch.data[0].asnumpy()[:whole, 0])
        labels.append(batch.label[0].asnumpy()[:whole])
    return np.concatenate(images), np.concatenate(labels).astype(np.uint8)


def _images(settings: Mapping[str, Any], records: Sequence[Record], path: Path) -> int:
    """How many of ``records`` are in the part that the settings name; without an index, MXNet splits by bytes."""
    parts, number = settings["num_parts"], settings["part_index"]
    if settings["path_imgidx"]:
        places = list(range(len(records)))
        step = -(-len(records) // parts)
    else:
        places = [record.offset for record in records]
        step = -(-path.stat().st_size // parts)
        step = -(-step // 4) * 4  # records begin at multiples of 4 bytes
    return sum(step * number <= place < step * (number + 1) for place in places)


class _Batches(mx.io.DataIter):
    """The batches of ``ImageRecordIter``, whose errors name the file, and whose pads are right.

    Every batch is a copy, since MXNet uses its memory again for a later batch.

    MXNet's own pad is 0 for a last batch that is not rounded, where the memory of an earlier batch shows through, and
    may be that of an earlier epoch otherwise. Here, the last batch repeats its own images instead. MXNet's own reset
    within an epoch starts at the first image or not, depending on how far it has read ahead; here, it always does.
    """

    def __init__(self, settings: Mapping[str, Any], images: int) -> None:
        super().__init__(settings["batch_size"])
        self._settings, self._images = settings, images
        self._is_rounded = settings.get("round_batch", True)
        self._batch: Any = None
        self._left = images
        self._native = self._made()

    @property
    def provide_data(self) -> list[mx.io.DataDesc]:
        """The name, shape and type of a batch's images."""
        return self._native.provide_data

    @property
    def provide_label(self) -> list[mx.io.DataDesc]:
        """The name, shape and type of a batch's labels."""
        return self._native.provide_label

    def reset(self) -> None:
        """Begin the next epoch; after a rounded batch, it begins behind the images that this batch has borrowed."""
        if self._batch is None:
            return
        borrowed = 0
        if self._left > 0:
            self._native = self._made()
        else:
            self._native.reset()
            borrowed = -self._left if self._is_rounded else 0
        self._batch, self._left = None, self._images - borrowed

    def iter_next(self) -> bool:
        """Read the next batch; False ends the epoch."""
        if self._left <= 0:
            return False
        try:
            self._batch = batch = self._native.next()
        except mx.base.MXNetError as error:
            raise self._refused(error) from None
        self._left -= self.batch_size
        batch.pad = max(0, -self._left)
        own = self.batch_size if self._is_rounded else self.batch_size - batch.pad
        places = mx.nd.arange(self.batch_size, dtype="int32") % own
        batch.data, batch.label = ([each[0].take(places)] for each in (batch.data, batch.label))
        for each in (*batch.data, *batch.label):
            each.wait_to_read()
        return True

    def getdata(self) -> list[mx.nd.NDArray]:
        """The images of the batch."""
        return self._batch.data

    def getlabel(self) -> list[mx.nd.NDArray]:
        """The labels of the batch."""
        return self._batch.label

    def getpad(self) -> int:
        """How many images at the end of the batch are not of this epoch."""
        return self._batch.pad

    def getindex(self) -> np.ndarray:
        """What MXNet says, which is zeros."""
        return self._batch.index

    def _made(self) -> mx.io.DataIter:
        try:
            return _native(self._settings)
        except mx.base.MXNetError as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> DataError:
        """What is wrong, which may also be raised."""
        path = Path(self._settings["path_imgrec"])
        for record in recordio.check(path):
            recordio.decode(record, path)  # a sealed one, whose image nobody has looked at
        return DataError(f"MXNet cannot read {path} with these options: {mxnet_reason(error)}")


def _native(settings: Mapping[str, Any]) -> mx.io.DataIter:
    for name in ("path_imgrec", "path_imgidx", "path_imglist"):
        if set("#?;") & set(str(settings.get(name, ""))):
            raise ZooError(f"MXNet treats #, ? and ; in paths as special: rename or move {settings[name]}")
    defaults = {
        "preprocess_threads": STATUS.threads,
        "verbose": False,
        "device_id": -1,  # in plain memory, which works in a build for GPUs without a GPU too
    }
    return mx.io.ImageRecordIter(**{**defaults, **settings})
