"""Image encoding with Pillow, separate from code that needs MXNet, so that processes that only encode start fast."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image, UnidentifiedImageError

QUALITIES = {".jpg": range(1, 101), ".png": range(1, 10)}  # for PNG, the level of its lossless compression
MODES = {0: ("L",), 1: ("RGB",), -1: ("L", "RGB", "RGBA")}  # Pillow's modes by im2rec's number for color


def encode(source: str | os.PathLike[str] | np.ndarray, color: int, quality: int, encoding: str) -> bytes | str:
    """Encode an image file or an array ``(height, width)`` uint8; returns the reason as text if it cannot be read."""
    try:
        with Image.fromarray(source) if isinstance(source, np.ndarray) else Image.open(source) as image:
            return _encode(image, color, quality, encoding)
    except UnidentifiedImageError:
        return "it is not an image"
    except Exception as error:  # Pillow raises many kinds
        return getattr(error, "strerror", None) or first_line(error)


def first_line(error: Exception) -> str:
    """The first line of the message of ``error``, or the name of its class if there is no message."""
    return str(error).partition("\n")[0] or type(error).__name__


def _encode(image: Image.Image, color: int, quality: int, encoding: str) -> bytes:
    if image.mode.startswith("I;16"):  # Pillow would clip values above 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    modes = [mode for mode in MODES[color] if encoding == ".png" or mode != "RGBA"]
    if image.mode not in modes:
        transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        image = image.convert(modes[-1] if transparent else modes[min(1, len(modes) - 1)])
    content = io.BytesIO()
    if encoding == ".png":
        image.save(content, "PNG", compress_level=quality)
    else:
        image.save(content, "JPEG", quality=quality)
    return content.getvalue()
