"""The options of ``ImageRecordIter``, checked before MXNet sees them.

MXNet ignores an option that it does not have. Of those that it has, it checks few values: others end the process, hang
it, or change memory that belongs to something else.
"""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo.errors import UnknownName, ZooError
from zoo.registry import suggestion
from zoo.runtime import mx

# What is not listed here may be any value of its type.
_CHOICES = {
    "aug_seq": ("aug_default",),
    "ctx": ("cpu", "gpu"),
    "dtype": ("float32", "int8", "uint8"),
    "inter_method": (0, 1, 2, 3, 4, 9, 10),
}
_UNIT, _ANGLE, _COLOR = (0, 1), (0, 360), (0, 255)
_BOUNDS: dict[str, tuple[float, float]] = {
    "batch_size": (1, 2**31 - 1),
    "brightness": _UNIT,
    "contrast": _UNIT,
    "device_id": (-1, 255),
    "fill_value": _COLOR,
    "label_width": (1, 2**20),
    "max_aspect_ratio": (0, 100),
    "max_crop_size": (1, 2**16),
    "max_img_size": (1, 1e10),
    "max_random_area": (0, 1),
    "max_random_scale": (0.001, 1000),
    "max_rotate_angle": _ANGLE,
    "max_shear_ratio": (0, 100),
    "min_aspect_ratio": (0.001, 100),
    "min_crop_size": (1, 2**16),
    "min_img_size": (0, 2**16),
    "min_random_area": (0, 1),
    "min_random_scale": (0.001, 1000),
    "num_parts": (1, 2**20),
    "pad": (0, 2**16),
    "part_index": (0, 2**20),
    "pca_noise": _UNIT,
    "prefetch_buffer": (1, 128),
    "preprocess_threads": (1, 1024),
    "random_h": _COLOR,
    "random_l": _COLOR,
    "random_s": _COLOR,
    "resize": (1, 2**16),
    "rotate": _ANGLE,
    "saturation": _UNIT,
    "shuffle_chunk_size": (0, 4096),
    **{f"std_{channel}": (1e-30, 1e30) for channel in "rgba"},
}
_WHOLE, _REAL = (-(2**31), 2**31 - 1), (-1e30, 1e30)  # MXNet reads int32 and float32
_OF_COLORS = ("brightness", "contrast", "pca_noise", "random_h", "random_l", "random_s", "saturation")
_PAIRS = ("aspect_ratio", "crop_size", "img_size", "random_area", "random_scale")
_MOST_PIXELS = 1 << 24  # that an image may be enlarged to


def checked(options: Mapping[str, object]) -> dict[str, Any]:
    """All options but those that are None, with their defaults; raises :class:`ZooError` for what MXNet cannot take."""
    pattern = r"^(\w+) : (.+?),\s*(?:required|optional, default=(.*))$"
    known = {name: (kind, default) for name, kind, default in re.findall(pattern, mx.io.ImageRecordIter.__doc__, re.M)}
    result = {}
    for name, value in options.items():
        if name not in known:
            raise UnknownName(f"ImageRecordIter has no option {name!r}: {suggestion(name, known)}")
        if value is not None:
            result[name] = _value(name, value, *known[name])
    if result.get("mean_img"):
        raise ZooError(
            "mean_img is not supported, since MXNet reads its file unchecked: give mean_r, mean_g and mean_b"
        )
    return {**{name: _default(*each) for name, each in known.items()}, **result}


def check_together(options: Mapping[str, Any], sizes: Iterable[tuple[int, int]]) -> None:
    """Raise :class:`ZooError` for options that do not fit one another, or images of these widths and heights."""
    shape = options["data_shape"]
    for name in _OF_COLORS:
        if options[name] and shape[0] != 3:
            raise ZooError(f"{name} is for images of 3 channels, and data_shape names {shape[0]}")
    for name in _PAIRS:
        least, most = options[f"min_{name}"], options[f"max_{name}"]
        if least is not None and least > most:
            raise ZooError(f"min_{name} must be at most max_{name}, and {least:g} is above {most:g}")
    if (options["min_crop_size"] == -1) != (options["max_crop_size"] == -1):
        raise ZooError("min_crop_size and max_crop_size must be given together")
    if options["batch_size"] * math.prod(shape) >= 2**31:
        raise ZooError(f"the batch size {options['batch_size']} is too large for the data_shape {shape}")
    if options["part_index"] >= options["num_parts"]:
        raise ZooError(f"part_index must be below num_parts: there is no part {options['part_index']} of "
                       f"{options['num_parts']}")  # fmt: skip
    for size in set(sizes):
        width, height = _largest(size, options)
        if width * height > max(_MOST_PIXELS, size[0] * size[1]):
            raise ZooError(
                f"resize, max_random_scale, min_img_size and pad would make an image of {size[0]}×{size[1]} pixels "
                f"{width:.0f}×{height:.0f}: take smaller ones"
            )


def _largest(size: tuple[int, int], options: Mapping[str, Any]) -> list[float]:
    resized = options["resize"] / min(size) if options["resize"] != -1 else 1
    scales = (1, options["max_random_scale"])
    extents = [max(max(scales) * resized * extent, options["min_img_size"]) for extent in size]
    return [extent + 2 * options["pad"] for extent in extents]


def _value(name: str, value: object, kind: str, default: str) -> object:
    if name == "data_shape":
        return _shape(value)
    if name in _CHOICES or kind == "boolean":
        choices: tuple[object, ...] = _CHOICES.get(name, (False, True))
        found = [each for each in choices if isinstance(value, (str, int, np.integer, np.bool_)) and each == value]
        if not found:
            raise ZooError(f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}")
        return found[0]
    if kind == "string":
        if not isinstance(value, (str, os.PathLike)):
            raise ZooError(f"{name} must be a path, not {value!r}")
        return os.fspath(value)
    return _number(name, value, kind, default)


def _number(name: str, value: Any, kind: str, default: str) -> float:  # noqa: ANN401  whatever was given
    is_real = kind.startswith("float")
    low, high = _BOUNDS.get(name, _REAL if is_real else _WHOLE)
    try:
        number = float(value) if is_real and not isinstance(value, str) else int(operator.index(value))
    except (TypeError, ValueError, OverflowError):
        raise ZooError(f"{name} must be a {'' if is_real else 'whole '}number, not {value!r}") from None
    usual = _default(kind, default)
    if not low <= number <= high and number != usual:
        beyond = f", or {usual} to leave it out" if usual is not None and not low <= usual <= high else ""
        raise ZooError(f"{name} must be {low} to {high}{beyond}, not {value}")
    return number


def _shape(value: Any) -> tuple[int, ...]:  # noqa: ANN401  whatever was given
    try:
        shape = tuple(map(operator.index, value))
    except TypeError:
        shape = ()
    if len(shape) != 3 or shape[0] not in (1, 3, 4) or not all(0 < extent < 2**16 for extent in shape):
        raise ZooError(
            f"data_shape must be 1, 3 or 4 channels, a height and a width, such as (1, 28, 28), not {value!r}"
        )
    return shape


def _default(kind: str, text: str) -> Any:  # noqa: ANN401  of the option's type
    """The default as MXNet's documentation writes it."""
    text = text.strip("'")
    if text == "None" or not text:
        return None
    if kind.startswith("float"):
        return float(text)
    return int(text) if kind.startswith(("int", "long", "boolean")) else text
