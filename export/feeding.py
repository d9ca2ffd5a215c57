"""The data of a verification: checked, as the file takes them, and cut into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, repeat

import numpy as np

from export.onnx import reading
from zoo.data import Dataset
from zoo.errors import ZooError

_FIRST, _BATCH = (1, 7), 100  # batch sizes: a single item, an odd number, and the rest
_LARGEST_BATCH = 1000  # of a file, if there are fewer items: they are repeated to fill it


def arrays_for(model: reading.Model, data: Dataset | np.ndarray | Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return ``data`` as ``model`` takes them, an array for each input; :class:`ZooError` if it takes no such data."""
    names = [each.name for each in model.inputs]
    if isinstance(data, Mapping):
        if set(data) != set(names):
            given = ", ".join(map(str, data)) or "none"
            raise ZooError(f"{model.origin} has the inputs {', '.join(names)}, and the data are for {given}")
    elif len(names) > 1:
        raise ZooError(
            f"{model.origin} has {len(names)} inputs, {', '.join(names)}: the data must be a mapping from these names "
            "to arrays"
        )
    else:
        data = {names[0]: data.images[:, None] if isinstance(data, Dataset) else data}
    arrays = [_taken(data[each.name], each, model.origin) for each in model.inputs]
    count = len(arrays[0])
    other = next((name for name, array in zip(names, arrays) if len(array) != count), None)
    if other is not None:
        raise ZooError(f"the data have {count:,} items for {names[0]}, and another number for {other}")
    if model.batch is not None and model.batch > max(count, _LARGEST_BATCH):
        raise ZooError(
            f"{model.origin} takes batches of {model.batch:,} items, and here are {count:,}: verify it with as "
            "many, or write it with a smaller or an open batch size"
        )
    return arrays


def _taken(data: object, wanted: reading.Input, origin: str) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "fiu":
        kind = f"{data.dtype} values" if isinstance(data, np.ndarray) else f"of the type {type(data).__name__}"
        raise ZooError(f"the data must be a Dataset or an array of numbers, and are {kind}")
    sizes = zip(wanted.item, data.shape[1:])
    if data.ndim != 1 + len(wanted.item) or any(size not in (None, given) for size, given in sizes):
        shape = ", ".join(["n", *("any" if size is None else str(size) for size in wanted.item)])
        raise ZooError(f"{origin} takes data of the shape ({shape}), and these have the shape {data.shape}")
    if not data.size:
        raise ZooError(f"there is nothing to compare: data of the shape {data.shape} hold no items")
    if not np.isfinite(data).all():
        raise ZooError("the data hold values that are not finite, with which nothing can be compared")
    if wanted.dtype == np.float32:
        return scaled(data)
    if wanted.dtype == np.uint8 and data.dtype != np.uint8:
        raise ZooError(f"{origin} takes uint8 pixels from 0 to 255, and these data are {data.dtype}")
    limits = np.iinfo(wanted.dtype)
    if data.dtype.kind == "f" or int(data.min()) < limits.min or int(data.max()) > limits.max:
        raise ZooError(f"{origin} takes {wanted.dtype} numbers for {wanted.name}, and these data are others")
    return data.astype(wanted.dtype, copy=False)


def scaled(array: np.ndarray) -> np.ndarray:
    """Return ``array`` as float32, and pixels from 0 to 1 if it is uint8."""
    return array * np.float32(1 / 255) if array.dtype == np.uint8 else array.astype(np.float32, copy=False)


def batches(arrays: list[np.ndarray], size: int | None) -> Iterator[list[np.ndarray]]:
    """Cut ``arrays`` into batches of ``size``, or of several sizes for None; the first items fill up the last batch."""
    sizes, start = repeat(size) if size else chain(_FIRST, repeat(_BATCH)), 0
    while start < len(arrays[0]):
        wanted = next(sizes)
        parts = [array[start : start + wanted] for array in arrays]
        yield [np.resize(part, (wanted, *part.shape[1:])) for part in parts] if size else parts
        start += wanted
