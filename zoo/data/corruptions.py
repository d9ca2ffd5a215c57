"""Corrupted images: shifted, rotated, noisy, blurred, pale or partly hidden, and the same on every machine.

All arithmetic is on integers, and all randomness comes from PCG64's raw output, which NumPy never changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from zoo.data.mnist import Dataset
from zoo.registry import Registry

_SIDE = 28
_BINOMIAL = (1, 4, 6, 4, 1)  # a Gaussian with a standard deviation of one pixel, times 16


@dataclass(frozen=True)
class Corruption:
    """A way to make images harder, at one severity."""

    summary: str
    apply: Callable[[np.ndarray], np.ndarray]  # maps (n, 28, 28) uint8 to the same, image by image, in order


Effect = TypeVar("Effect", bound="Callable[[np.ndarray, int], np.ndarray]")  # of images and a severity

CORRUPTIONS: Registry[Corruption] = Registry("corruption")


def corrupt(dataset: Dataset, name: str) -> Dataset:
    """Apply the corruption ``name`` of ``CORRUPTIONS`` to ``dataset``.

    The random values for an image depend only on its position, so the first images of a data set come out the same
    with or without the rest. Raises :class:`zoo.errors.UnknownName`, which lists close matches.
    """
    images = CORRUPTIONS[name].apply(dataset.images)
    return replace(dataset, images=images, source=f"{dataset.source}, {name}")


def _register(name: str, summary: str, *severities: int) -> Callable[[Effect], Effect]:
    def decorate(apply: Effect) -> Effect:
        for severity in severities:
            entry = Corruption(summary.replace("{}", str(severity)), _at(severity, apply))
            CORRUPTIONS.add(f"{name}-{severity}", entry)
        return apply

    return decorate


def _at(severity: int, apply: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: apply(images, severity)


@_register("shift", "moved by {} px in one of eight directions", 2, 4)
def _shift(images: np.ndarray, pixels: int) -> np.ndarray:
    directions = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
    padded = np.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels)))
    chosen, result = _random(len(images), len(directions)), np.empty_like(images)
    for number, (down, right) in enumerate(directions):
        top, left = pixels * (1 - down), pixels * (1 - right)
        result[chosen == number] = padded[chosen == number, top : top + _SIDE, left : left + _SIDE]
    return result


@_register("rotation", "turned by {} degrees in either direction", 15, 30)
def _rotate(images: np.ndarray, degrees: int) -> np.ndarray:
    clockwise, result = _random(len(images), 2) == 1, np.empty_like(images)
    for chosen, angle in ((clockwise, degrees), (~clockwise, -degrees)):
        result[chosen] = _turned(images[chosen], angle)
    return result


def _turned(images: np.ndarray, degrees: int) -> np.ndarray:
    """Rotate by bilinear interpolation on a black background, in units of 1/65536 pixel."""
    cosine, sine = (round(65536 * function(math.radians(degrees))) for function in (math.cos, math.sin))
    y, x = 2 * np.mgrid[:_SIDE, :_SIDE] - (_SIDE - 1)  # twice the distance from the centre
    centre = (_SIDE - 1) * 32768
    rows, columns = (cosine * y - sine * x) // 2 + centre, (sine * y + cosine * x) // 2 + centre
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    total = np.full(images.shape, 32768, np.int64)
    for down in (0, 1):
        for right in (0, 1):
            row, column = (
                np.clip((each >> 16) + 1 + step, 0, _SIDE + 1) for each, step in ((rows, down), (columns, right))
            )
            weight = _share(rows, down) * _share(columns, right)
            total += padded[:, row, column] * weight
    return (total >> 16).astype(np.uint8)


def _share(position: np.ndarray, next_pixel: int) -> np.ndarray:
    """The weight of the pixel at ``position``, or of the next one, in 256ths."""
    fraction = position >> 8 & 255
    return fraction if next_pixel else 256 - fraction


@_register("noise", "with noise of a standard deviation of {} of 255", 50, 100)
def _noise(images: np.ndarray, deviation: int) -> np.ndarray:
    """Add nearly Gaussian noise: sums of four uniform bytes, with a mean of 510 and a standard deviation of 148."""
    drawn = np.random.PCG64(0).random_raw(images.size // 2).astype("<u8").view(np.uint8).reshape(*images.shape, 4)
    noise = (drawn.sum(axis=-1, dtype=np.int32) - 510) * deviation // 148
    return np.clip(images + noise, 0, 255).astype(np.uint8)


@_register("blur", "blurred by a Gaussian with a standard deviation of {} px", 1, 2)
def _blur(images: np.ndarray, pixels: int) -> np.ndarray:
    for _ in range(pixels**2):  # variances add up
        total = images.astype(np.int32)
        for axis in (1, 2):
            padded = np.pad(total, [(2, 2) if each == axis else (0, 0) for each in range(3)])
            total = np.zeros_like(total)
            for start, weight in enumerate(_BINOMIAL):
                total += weight * np.take(padded, range(start, start + _SIDE), axis)
        images = (total + 128 >> 8).astype(np.uint8)
    return images


@_register("contrast", "with {}% of the contrast, around a middle grey", 50, 25)
def _contrast(images: np.ndarray, percent: int) -> np.ndarray:
    return ((images.astype(np.int32) * 2 * percent + 255 * (100 - percent) + 100) // 200).astype(np.uint8)


@_register("occlusion", "with a black square of {} by {} px somewhere", 8, 12)
def _occlude(images: np.ndarray, side: int) -> np.ndarray:
    top, left = _random((len(images), 2), _SIDE - side + 1).T[:, :, None, None]
    y, x = np.mgrid[:_SIDE, :_SIDE]
    hidden = (top <= y) & (y < top + side) & (left <= x) & (x < left + side)
    return np.where(hidden, np.uint8(0), images)


def _random(shape: int | tuple[int, ...], below: int) -> np.ndarray:
    """Random integers from 0 to ``below`` - 1."""
    return (np.random.PCG64(0).random_raw(shape) % np.uint64(below)).astype(np.int64)
