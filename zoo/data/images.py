"""Image encoding with Pillow, separate from code that needs MXNet, so that processes that only encode start fast."""

from __future__ import annotations

import io
import os
import signal
import stat

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo.io.parent import die_with_parent

QUALITIES = {".jpg": range(1, 101), ".png": range(1, 10)}  # for PNG, the level of its lossless compression
MODES = {0: ("L",), 1: ("RGB",), -1: ("L", "RGB", "RGBA")}  # Pillow's modes by im2rec's number for color


def encode(source: str | os.PathLike[str] | np.ndarray, color: int, quality: int, encoding: str) -> bytes | str:
    """Encode an image file or an array ``(height, width)`` uint8; returns the reason as text if it cannot be read."""
    try:
        if not isinstance(source, np.ndarray) and not stat.S_ISREG(os.stat(source).st_mode):  # noqa: PTH116  any path
            return "it is not a file"  # a pipe would wait for its writer
        with Image.fromarray(source) if isinstance(source, np.ndarray) else Image.open(source) as image:
            return _encode(image, color, quality, encoding)
    except UnidentifiedImageError:
        return "it is not an image"
    except Exception as error:  # Pillow raises many kinds
        return getattr(error, "strerror", None) or first_line(error)


def prepare_process(parent: int) -> None:
    """Prepare a process that only encodes: ``parent`` alone handles Ctrl-C, which reaches all processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent)


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
