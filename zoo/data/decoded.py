"""Decoded images in the user's cache, so that later runs start as fast as with MNIST itself."""

from __future__ import annotations

import contextlib
import io
from itertools import accumulate
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.io import files, private

_LIMIT = 2**30  # bytes; the least recently used files make room


def folder() -> Path:
    """The folder of decoded images, which may not exist yet."""
    return files.user_cache() / "decoded"


def find(key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The images and labels kept under ``key``; None if there are none or they are damaged.

    Images that other users could have put there do not count.
    """
    try:
        path = folder() / f"{key}.npz"
        private.check(path.parent)
        content = private.read(path)
    except ZooError:
        return None
    if content is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = arrays["images"], arrays["labels"]
    with contextlib.suppress(OSError):
        path.touch()
    return found


def keep(key: str, images: np.ndarray, labels: np.ndarray) -> bool:
    """Keep the images and labels under ``key`` if possible; returns False if not: the next run decodes them again."""
    if images.nbytes > _LIMIT // 2:
        return False
    content = io.BytesIO()
    np.savez(content, images=images, labels=labels)
    try:
        place = folder()
        private.make(place)
        private.check(place)
        private.write(place / f"{key}.npz", content.getvalue())
    except (ZooError, OSError):
        return False
    with contextlib.suppress(OSError):  # another process may make room at the same time
        kept = sorted(place.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for total, path in zip(accumulate(path.stat().st_size for path in kept), kept):
            if total > _LIMIT:
                path.unlink()
    return True
