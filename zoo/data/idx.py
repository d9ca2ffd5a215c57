"""IDX files, the format MNIST is published in."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from zoo.errors import DataError
from zoo.io import files

_UINT8 = 0x08
_LONGEST_HEADER = 16  # bytes: of images


def read(path: Path) -> bytes:
    """The uncompressed content of a file that may be gzipped; raises :class:`DataError` if it cannot be read."""
    content = files.read(path, DataError)
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            start = file.read(_LONGEST_HEADER)
            announced = min(_announced(start), files.MOST)
            content = start + file.read(max(0, announced - len(start)) + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}): delete it and fetch it again") from None
    if len(content) > max(announced, len(start)):
        raise DataError(f"{path} is damaged: it unpacks to more than the {announced:,} bytes that belong to its header")
    return content


def decode(content: bytes, shape: tuple[int | None, ...], origin: str) -> np.ndarray:
    """The uint8 array in ``content``, which must have the shape ``shape``, where None allows any extent.

    Raises :class:`DataError` for a wrong magic number, a wrong shape, or a length that does not match the header.
    """
    header = struct.Struct(f">HBB{len(shape)}I")
    magic = f"0x{_UINT8 << 8 | len(shape):08x}"
    if content[:4] != struct.pack(">HBB", 0, _UINT8, len(shape)):
        found = f"0x{content[:4].hex()}" if len(content) >= 4 else f"only {len(content)} bytes"
        raise DataError(
            f"{origin} is not an IDX file of {len(shape)}-dimensional bytes: it starts with {found}, not {magic}"
        )
    if len(content) < header.size:
        raise DataError(f"{origin} is truncated: it ends within its header")
    _, _, _, *extents = header.unpack_from(content)
    if any(wanted not in (None, extent) for wanted, extent in zip(shape, extents)):
        wanted = "×".join("n" if extent is None else str(extent) for extent in shape)
        raise DataError(f"{origin} holds {'×'.join(map(str, extents))} values, and MNIST's are {wanted}")
    expected = header.size + int(np.prod(extents, dtype=np.int64))
    if len(content) != expected:
        raise DataError(f"{origin} has the wrong size: its header announces {expected} bytes and it has {len(content)}")
    return np.frombuffer(content, np.uint8, offset=header.size).reshape(extents)


def _announced(start: bytes) -> int:
    """The length of the file that begins like this; that of the beginning if it is no IDX file of bytes."""
    if len(start) < 4 or start[:3] != struct.pack(">HB", 0, _UINT8) or len(start) < 4 + 4 * start[3]:
        return len(start)
    return 4 + 4 * start[3] + math.prod(struct.unpack_from(f">{start[3]}I", start, 4))


def encode(array: np.ndarray) -> bytes:
    """A uint8 array as an IDX file; the inverse of :func:`decode`."""
    return struct.pack(f">HBB{array.ndim}I", 0, _UINT8, array.ndim, *array.shape) + array.tobytes()
