"""Integers that stand for real numbers: a scale, and the integer that means zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVELS = 255  # activations are uint8
_PAIR = 128  # the most that two weights may add up to: 255 * 128 fits into 16 bits
_LARGEST_WEIGHT = 127
_LARGEST_BIAS = 2**30


@dataclass(frozen=True)
class Steps:
    """How uint8 values stand for real numbers: ``scale * (integer - zero)``."""

    scale: np.float32
    zero: int

    @classmethod
    def between(cls, low: float, high: float) -> Steps:
        """Return the steps from ``low`` to ``high``; zero is always one of them, so that padding is exact."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32((high - low) / LEVELS)
        if not scale >= np.finfo(np.float32).tiny:  # a tensor of zeros
            return cls(np.float32(1), 0)
        return cls(scale, int(np.clip(np.rint(-low / float(scale)), 0, LEVELS)))

    def round(self, values: np.ndarray) -> np.ndarray:
        """Return the real numbers that ``values`` become."""
        integers = np.clip(np.rint(values / self.scale), -self.zero, LEVELS - self.zero)
        return integers * self.scale


def weight_integers(weight: np.ndarray, floor: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return ``weight`` as int8, and a scale for each output channel, the first axis, not below ``floor``.

    Without VNNI, processors add two products of uint8 and int8 in 16 bits, whichever two a runtime puts side by side.
    So any two weights of one sign must not add up to more than 128: they have seven bits, or one of them has more.
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    padded = np.pad(flat, ((0, 0), (0, 2)))  # zeros, for one weight alone and for none of a sign
    highest = [np.partition(sign * padded, -2, axis=1)[:, -2:].sum(axis=1) for sign in (1, -1)]
    scales = np.maximum(np.maximum(*highest) / (_PAIR - 1), np.abs(flat).max(axis=1) / _LARGEST_WEIGHT)
    scales = np.maximum(scales, floor).astype(np.float32)
    scales[scales < np.finfo(np.float32).tiny] = 1  # all weights are zero
    integers = np.rint(flat / scales[:, None]).astype(np.int8)
    return integers.reshape(weight.shape), scales


def layer_integers(
    weight: np.ndarray, bias: np.ndarray | None, data: Steps
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the weights of a layer that takes ``data`` as int8, their scales, and its biases as int32."""
    if bias is None:
        return (*weight_integers(weight), None)
    integers, scales = weight_integers(weight, np.abs(bias) / (data.scale * _LARGEST_BIAS))
    return integers, scales, np.rint(bias / (data.scale * scales).astype(np.float64)).astype(np.int32)
