"""Images as bytes, by Pillow; apart from what needs MXNet, so that a process that does only this starts fast."""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image, UnidentifiedImageError

QUALITIES = {".jpg": range(1, 101), ".png": range(1, 10)}  # of PNG the compression, which loses nothing
MODES = {0: ("L",), 1: ("RGB",), -1: ("L", "RGB", "RGBA")}  # Pillow's, by color as im2rec counts it


def encode(source: str | os.PathLike[str] | np.ndarray, color: int, quality: int, encoding: str) -> bytes | str:
    """The image in a file, or the array ``(height, width)`` uint8, encoded; or the reason why it cannot be read."""
    try:
        with Image.fromarray(source) if isinstance(source, np.ndarray) else Image.open(source) as image:
            return _encode(image, color, quality, encoding)
    except UnidentifiedImageError:
        return "it is not an image"
    except Exception as error:  # of whatever kind: Pillow raises many
        return getattr(error, "strerror", None) or first_line(error)


def first_line(error: Exception) -> str:
    """What ``error`` says first, or its class where it says nothing."""
    return str(error).partition("\n")[0] or type(error).__name__


def _encode(image: Image.Image, color: int, quality: int, encoding: str) -> bytes:
    if image.mode.startswith("I;16"):  # Pillow would cut off what is brighter than 255
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
