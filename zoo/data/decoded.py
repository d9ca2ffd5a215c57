"""Images that were decoded once, kept in the user's cache, so that later runs start as fast as from MNIST itself."""

from __future__ import annotations

import contextlib
from itertools import accumulate
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.io import files, private

_LIMIT = 2**30  # bytes; what was not used for longest makes room


def folder() -> Path:
    """Where they are kept, which need not be there yet."""
    return files.user_cache() / "decoded"


def find(key: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The images and labels that were kept under ``key``, whole; None where there are none.

    A folder in which other users could put images of theirs does not count.
    """
    try:
        path = folder() / f"{key}.npz"
        private.check(path.parent)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # whose parts carry a CRC-32
            found = arrays["images"], arrays["labels"]
    except Exception:  # of whatever kind: NumPy and zipfile raise many
        return None
    with contextlib.suppress(OSError):
        path.touch()
    return found


def keep(key: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Keep them under ``key`` if the disk lets us; if not, they are decoded again the next time."""
    if images.nbytes > _LIMIT // 2:
        return
    with contextlib.suppress(ZooError, OSError):
        place = folder()
        private.make(place)
        private.check(place)
        with files.atomic(place / f"{key}.npz") as file:
            np.savez(file, images=images, labels=labels)
        kept = sorted(place.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for total, path in zip(accumulate(path.stat().st_size for path in kept), kept):
            if total > _LIMIT:
                path.unlink()
