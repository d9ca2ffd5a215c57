"""What Pillow accepts in a PNG file and libpng, with which MXNet decodes, does not."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_ONE_PASS = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def fault(image: bytes) -> str | None:
    """The first thing wrong with the chunks of a PNG file or with the number of its rows; None if there is none.

    As in libpng, what follows the last chunk does not count, nor do chunks that the format marks as ancillary.
    """
    kinds: list[bytes] = []
    pixels: list[bytes] = []
    header = b""
    for kind, content in _chunks(image):
        if content is None:
            return "a chunk is cut off or fails its checksum"
        if kind not in _CRITICAL:
            return f"its chunk {kind.decode('latin-1')!r} is unknown"
        if (kind == b"IHDR") != (not kinds) or (kind == b"IHDR" and len(content) != 13):
            return "it does not start with its only IHDR chunk"
        kinds.append(kind)
        header = header or content
        pixels += [content] if kind == b"IDAT" else []
    if not kinds or kinds[-1] != b"IEND":
        return "it has no IEND chunk"
    if kinds.count(b"PLTE") > 1 or (b"PLTE" in kinds and b"IDAT" in kinds[: kinds.index(b"PLTE")]):
        return "its PLTE chunk is repeated or out of place"
    expected = _length(header)
    try:
        found = zlib.decompressobj().decompress(b"".join(pixels), expected) if expected else b""
    except zlib.error as error:
        return str(error)
    return None if len(found) == expected else f"its rows have {len(found)} bytes, and {expected} belong to its size"


def _chunks(image: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """The kind and content of each chunk that is not ancillary, up to IEND; no content if the chunk is damaged."""
    position, kind = len(_SIGNATURE), b""
    while position < len(image) and kind != b"IEND":
        length, kind = struct.unpack(">I4s", image[position : position + 8].ljust(8, b"\0"))
        checked = image[position + 4 : position + 8 + length]
        end = position + 12 + length
        if not kind[0] & 0x20 or end > len(image):
            is_whole = image[end - 4 : end] == zlib.crc32(checked).to_bytes(4, "big")
            yield kind, checked[4:] if is_whole else None
        position = end


def _length(header: bytes) -> int:
    """How many bytes the rows have, each after a byte that names its filter."""
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    length = 0
    for left, top, right, down in _ADAM7 if interlaced else _ONE_PASS:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            length += rows * (1 + (columns * _CHANNELS.get(color, 0) * depth + 7) // 8)
    return length
