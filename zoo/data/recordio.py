"""RecordIO files of images, the format of MXNet's ``im2rec``, with every byte checked before MXNet reads the file.

MXNet's readers abort the process on a damaged frame and silently train on a damaged image, and the format has no
checksum. Records written here carry a seal in ``id2``, the half of a record's id that MXNet reserves and ignores: the
record's position in the file, a mark on the last record, and a CRC-32. This detects any change to such a file,
including the loss of whole records. In a file from another writer, the frames are checked and every image is decoded.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from zoo.data import png
from zoo.data.images import first_line
from zoo.errors import DataError
from zoo.io import files

_MAGIC = 0xCED7230A
_FRAME = struct.Struct("<II")  # magic number; 3 bits for the kind of part of a record, 29 bits for its length
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)  # a record that contains the magic number is split there into parts
_HEADER = struct.Struct("<IfQQ")  # number of labels before the image, or 0; the label if 0; id; id2
_SEALED_LAST = 1 << 63
_MOST = 1 << 34  # bytes of a file
FORMATS = {"JPEG": ".jpg", "PNG": ".png"}


class Record(NamedTuple):
    """An image in a ``.rec`` file."""

    offset: int  # of its frame in the file, in bytes
    labels: tuple[float, ...]
    index: int  # type: ignore[assignment]  # its id; hides tuple.index
    image: bytes  # encoded


def encode(index: int, label: float, image: bytes, place: int, is_last: bool) -> bytes:
    """Encode a sealed record, number ``place`` (from 0) in its file, for ``mx.recordio`` to put into a frame."""
    header = _HEADER.pack(0, label, index, 0)
    seal = place + 1 << 32 | zlib.crc32(image, zlib.crc32(header[:16]))
    return _HEADER.pack(0, label, index, seal | (_SEALED_LAST if is_last else 0)) + image


def check(rec: Path, idx: Path | None = None, lst: Path | None = None, label_width: int | None = None) -> list[Record]:
    """Return the records of a ``.rec`` file after checking them, and the index and the list if given.

    Each image must have ``label_width`` labels, which the list has in place of the records.

    Raises :class:`DataError`, which names the file and the first thing wrong with it.
    """
    content = read(rec)
    bodies = list(_bodies(content, rec))
    if not bodies:
        raise DataError(f"{rec} is empty")
    records = [_record(offset, body, rec) for offset, body in bodies]
    if not _is_sealed([body for _, body in bodies], rec):
        for record in records:
            decode(record, rec)
    if idx is not None:
        _check_index(idx, rec, [record.offset for record in records])
    if lst is not None:
        _check_list(lst, rec, records, label_width)
    elif label_width is not None:
        for record in records:
            if len(record.labels) != label_width:
                raise DataError(
                    f"{where(record, rec)} has {len(record.labels)} labels, and label_width is {label_width}"
                )
    return records


def where(record: Record, rec: Path) -> str:
    """How a message names the record."""
    return f"{rec}: record {record.index} (at byte {record.offset})"


def format_and_size(record: Record, rec: Path) -> tuple[str, tuple[int, int]]:
    """Pillow's name for the image's format, and the image's width and height in pixels."""
    # Pillow takes longer to open an image than MXNet to decode it. Most images share the bytes before the pixels, so
    # only these are opened, and the result is cached.
    image = record.image
    if image[:2] == b"\xff\xd8":
        scan = image.find(b"\xff\xda") + 2
        head = image[: scan + int.from_bytes(image[scan : scan + 2], "big")]
    else:
        head = image[:33] + b"\0\0\0\0IDAT"
    found = _probe(head) or _probe.__wrapped__(image)
    if found is None:
        raise DataError(f"{where(record, rec)} is not a JPEG or PNG image")
    return found


@lru_cache(maxsize=64)
def _probe(image: bytes) -> tuple[str, tuple[int, int]] | None:
    try:
        opened = Image.open(io.BytesIO(image), formats=list(FORMATS))
    except Exception:  # Pillow raises many kinds
        return None
    return str(opened.format), opened.size


def decode(record: Record, rec: Path) -> None:
    """Raise :class:`DataError` unless the image can be decoded, by Pillow and by what MXNet decodes with."""
    try:
        with Image.open(io.BytesIO(record.image), formats=list(FORMATS)) as image:
            fault = png.fault(record.image) if image.format == "PNG" else None
            image.load()
    except UnidentifiedImageError:
        fault = "it is neither a JPEG nor a PNG image"
    except Exception as error:  # Pillow raises many kinds
        fault = first_line(error)
    if fault is not None:
        raise DataError(
            f"{rec} is damaged: record {record.index} (at byte {record.offset}) holds no image that can be decoded "
            f"({fault})"
        )


def read(path: Path) -> bytes:
    """The content of a file; raises :class:`DataError` if it cannot be read."""
    return files.read(path, DataError, most=_MOST)


def _bodies(content: bytes, rec: Path) -> Iterator[tuple[int, bytes]]:
    """Yield every record's offset and content; frames must follow one another without a gap."""
    if content and content[:4] != _MAGIC.to_bytes(4, "little"):
        raise DataError(f"{rec} is not a RecordIO file: it starts with 0x{content[:4].hex()}, not 0x0a23d7ce")
    position, start = 0, 0
    parts: list[bytes] = []
    while position < len(content):
        if len(content) < position + _FRAME.size:
            raise _truncated(rec, position)
        magic, word = _FRAME.unpack_from(content, position)
        kind, length = word >> 29, word & (1 << 29) - 1
        if magic != _MAGIC or kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise DataError(f"{rec} is damaged: no record starts at byte {position}")
        begin = position + _FRAME.size
        end = begin + length
        padded = end + -length % 4
        if len(content) < padded:
            raise _truncated(rec, position)
        if any(content[end:padded]):
            raise DataError(f"{rec} is damaged: the padding of the record at byte {position} is not zero")
        if kind in (_WHOLE, _FIRST):
            start = position
        parts.append(content[begin:end])
        if kind in (_WHOLE, _LAST):
            yield start, _MAGIC.to_bytes(4, "little").join(parts)
            parts = []
        position = padded
    if parts:
        raise _truncated(rec, start)


def _truncated(rec: Path, position: int) -> DataError:
    return DataError(f"{rec} is truncated or damaged: it ends within the record at byte {position}")


def _record(offset: int, body: bytes, rec: Path) -> Record:
    count, label, index, _ = _HEADER.unpack_from(body) if len(body) >= _HEADER.size else (1 << 32, 0, 0, 0)
    begin = _HEADER.size + 4 * count
    if len(body) <= begin:
        raise DataError(f"{rec} is damaged: the record at byte {offset} is too short for an image and its label")
    labels = struct.unpack_from(f"<{count}f", body, _HEADER.size) if count else (label,)
    if not all(map(math.isfinite, labels)):
        raise DataError(f"{rec} is damaged: a label of record {index} (at byte {offset}) is not a finite number")
    return Record(offset, labels, index, body[begin:])


def _is_sealed(bodies: Sequence[bytes], rec: Path) -> bool:
    """Whether the records carry seals; if so, raises :class:`DataError` unless all seals hold."""
    seals = [_HEADER.unpack_from(body)[3] for body in bodies]
    holds = [seal & 0xFFFFFFFF == zlib.crc32(body[24:], zlib.crc32(body[:16])) for seal, body in zip(seals, bodies)]
    places = [(seal & ~_SEALED_LAST) >> 32 for seal in seals]
    if not any(holds) and places[0] != 1:
        return False
    expected = 1
    for number, (held, place, seal) in enumerate(zip(holds, places, seals), start=1):
        if not held or place != expected:
            raise DataError(
                f"{rec} is damaged: record number {number} of {len(bodies)} fails its checksum or is out of order"
            )
        expected = 1 if seal & _SEALED_LAST else expected + 1  # concatenated files are a valid file too
    if expected != 1:
        raise DataError(f"{rec} is truncated: it has {len(bodies)} records, and further ones were written")
    return True


def _check_index(idx: Path, rec: Path, offsets: list[int]) -> None:
    keys, found = set(), []
    for number, line in _lines(idx):
        try:
            key, offset = map(int, line.split("\t"))
        except ValueError:
            raise DataError(f"{idx} is damaged: line {number} is not a key, a tab and an offset") from None
        keys.add(key)
        found.append(offset)
    if sorted(found) != offsets or len(keys) != len(found):
        raise DataError(
            f"{idx} does not fit {rec}: it must point once to each of its {len(offsets)} records, and has {len(found)} "
            "entries; pack again, or delete it (most readers do not need it)"
        )


def _check_list(lst: Path, rec: Path, records: Sequence[Record], label_width: int | None) -> None:
    indices = set()
    for number, line in _lines(lst):
        index, *labels = line.split("\t")[:-1] or [""]
        try:
            if not (labels and all(math.isfinite(float(label)) for label in labels)) or int(index) in indices:
                raise ValueError
        except ValueError:
            raise DataError(
                f"{lst} is damaged: line {number} is not a unique index, a label and a path, separated by tabs"
            ) from None
        if label_width not in (None, len(labels)):
            raise DataError(f"{lst}: line {number} has {len(labels)} labels, and label_width is {label_width}")
        indices.add(int(index))
    missing = {record.index for record in records} - indices
    if missing:
        raise DataError(f"{lst} does not fit {rec}: it lacks record {min(missing)}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    text = read(path).decode(errors="surrogateescape")
    yield from ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
