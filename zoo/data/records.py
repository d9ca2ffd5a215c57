"""``.rec`` files as data: MXNet's ``ImageRecordIter``, with files and options checked first."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.console import mxnet_reason
from zoo.data import decoded, recordio
from zoo.data.mnist import Dataset
from zoo.errors import DataError, UnknownName, ZooError
from zoo.io import files, places
from zoo.registry import suggestion
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
    known = re.findall(r"^(\w+) : ", mx.io.ImageRecordIter.__doc__, re.MULTILINE)
    for name in options:
        if name not in known:
            raise UnknownName(f"ImageRecordIter has no option {name!r}: {suggestion(name, known)}")
    companions = (options.get(name) for name in ("path_imgidx", "path_imglist"))
    records = recordio.check(Path(path_imgrec), *(Path(str(path)) if path else None for path in companions))
    if batch_size > len(records):
        raise ZooError(f"the batch size {batch_size} is larger than the {len(records)} images in {path_imgrec}")
    return _iterator(path_imgrec, batch_size, data_shape, options)


def load_records(path: str | os.PathLike[str], num_parts: int = 1, part_index: int = 0) -> Dataset:
    """Load the digits of a ``.rec`` file, or of one of ``num_parts`` nearly equal parts of it, into memory.

    The file is checked and decoded once; afterwards, the user's cache holds the pixels, keyed by the file's content.
    An ``.idx`` file beside it must match. Colors become grey. Raises :class:`DataError` for a damaged file and for
    images that are not 28×28 digits with a label from 0 to 9.
    """
    path = Path(path)
    idx = path.parent / f"{path.stem}.idx"
    paths = [path, idx] if idx.exists() else [path]
    key = _key(paths)
    found = decoded.find(key)
    if found is None:
        found = _decode(*paths)
        if _key(paths) == key:  # the files have not changed meanwhile
            decoded.keep(key, *found)
    images, labels = found
    if not 0 <= part_index < num_parts <= len(images):
        raise ZooError(
            f"part_index must be below num_parts, and num_parts at most {len(images)}, the images in {path}: "
            f"there is no part {part_index} of {num_parts}"
        )
    part = slice(*(len(images) * number // num_parts for number in (part_index, part_index + 1)))
    name = f", part {part_index} of {num_parts}" if num_parts > 1 else ""
    return Dataset(images[part], labels[part], f"{places.name(path)}{name}")


def _key(paths: Sequence[Path]) -> str:
    """A hash of what the pixels depend on: the contents of the files, and the version of MXNet that decodes them."""
    contents = (files.hexdigest(recordio.read(path)) for path in paths)
    return files.hexdigest(" ".join([*contents, mx.__version__]).encode())


def _decode(path: Path, idx: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images and labels of a ``.rec`` file with MXNet, after checking all that could make it fail."""
    records = recordio.check(path, idx)
    for record in records:
        _, size = recordio.format_and_size(record, path)
        where = f"{path}: record {record.index} (at byte {record.offset})"
        if size != (28, 28):
            raise DataError(f"{where} is {size[0]}×{size[1]} pixels, and MNIST's models take 28×28")
        if len(record.labels) != 1 or record.labels[0] not in range(10):
            raise DataError(f"{where} has the label {record.labels[0]:g}, and digits have 0 to 9")
    batch_size = min(_BATCH, len(records))
    images, labels = [], []
    try:
        for batch in _iterator(path, batch_size, (1, 28, 28), {"dtype": "uint8"}):
            images.append(batch.data[0].asnumpy()[: batch_size - batch.pad, 0])
            labels.append(batch.label[0].asnumpy()[: batch_size - batch.pad])
    except mx.base.MXNetError as error:
        raise DataError(f"MXNet cannot read {path}: {mxnet_reason(error)}") from None
    return np.concatenate(images), np.concatenate(labels).astype(np.uint8)


def _iterator(
    path: str | os.PathLike[str], batch_size: int, data_shape: Sequence[int], options: Mapping[str, object]
) -> mx.io.DataIter:
    for each in (path, *(options.get(name, "") for name in ("path_imgidx", "path_imglist"))):
        if set("#?;") & set(str(each)):
            raise ZooError(f"MXNet treats #, ? and ; in paths as special: rename or move {each}")
    settings = {
        "preprocess_threads": STATUS.threads,
        "verbose": False,
        "device_id": -1,  # in plain memory, which works in a build for GPUs without a GPU too
        **options,
    }
    shape = tuple(data_shape)
    try:
        return mx.io.ImageRecordIter(path_imgrec=str(path), batch_size=batch_size, data_shape=shape, **settings)
    except StopIteration:  # MXNet splits by bytes, at record boundaries
        part, parts = (settings.get(name) for name in ("part_index", "num_parts"))
        raise DataError(f"{path}, part {part} of {parts}, holds no images: take fewer parts") from None
