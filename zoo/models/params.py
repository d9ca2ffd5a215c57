"""MXNet's own ``.params`` format.

MXNet loads damaged files silently or crashes on them, and its writer does not notice a full disk. This reader checks
every length against the file. What is written here carries a seal in eight bytes that MXNet leaves unused: part of a
SHA-256, so that damage anywhere in the file is noticed.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from zoo.errors import WeightsError

# src/ndarray/ndarray.cc and src/c_api of MXNet 1.9.1
_LIST_MAGIC = 0x112
_ARRAY_MAGICS = (0xF993FAC9, 0xF993FACA)  # NDARRAY_V2, and V3, which MXNet's NumPy interface writes and reads
_DENSE = 0
_BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # NumPy has none; MXNet passes it in this form
_NAMES = {0: "float32", 1: "float64", 2: "float16", 3: "uint8", 4: "int32", 5: "int8", 6: "int64", 7: "bool"}
_DTYPES = {**{code: np.dtype(name) for code, name in _NAMES.items()}, 12: _BFLOAT16}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_SEAL = slice(8, 16)  # after the magic number; MXNet writes 0 there


def widened(array: np.ndarray) -> np.ndarray:
    """Return ``array``, converted to float32 if it is bfloat16."""
    return (array["bfloat16"].astype(np.uint32) << 16).view(np.float32) if array.dtype == _BFLOAT16 else array


def encode(arrays: dict[str, np.ndarray], numpy: bool = False) -> bytes:
    """Encode ``arrays`` as the content of a ``.params`` file, one of MXNet's NumPy interface if ``numpy``."""
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for value in arrays.values():
        parts.append(struct.pack("<Iii", _ARRAY_MAGICS[numpy], _DENSE, value.ndim))
        parts.append(struct.pack(f"<{value.ndim}q", *value.shape))
        parts.append(struct.pack("<iii", 1, 0, _CODES[value.dtype]))  # saved from cpu(0)
        parts.append(np.ascontiguousarray(value).tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        parts.append(struct.pack("<Q", len(name.encode())) + name.encode())
    content = bytearray(b"".join(parts))
    content[_SEAL] = _seal(content)
    return bytes(content)


def decode(content: bytes, origin: str) -> dict[str, np.ndarray]:
    """Decode the arrays of a ``.params`` file; :class:`WeightsError` names ``origin`` and its first defect."""
    reader = _Reader(content, origin)
    magic, seal, count = reader.unpack("QQQ", "header")
    if magic != _LIST_MAGIC:
        raise reader.damaged("it is not a parameter file of MXNet (wrong magic number)")
    if seal and content[_SEAL] != _seal(content):
        raise reader.damaged("its content does not match its checksum")
    values = [_array(reader, number) for number in range(1, reader.plausible(count, 24, "arrays") + 1)]
    (named,) = reader.unpack("Q", "number of names")
    if named != count:
        raise reader.damaged(f"it holds {count} arrays and {named} names")
    names = []
    for _ in range(count):
        (length,) = reader.unpack("Q", "length of a name")
        try:
            names.append(reader.take(length, "name").decode())
        except UnicodeDecodeError:
            raise reader.damaged("a name in it is not text") from None
    if reader.rest():
        raise reader.damaged(f"{reader.rest()} bytes follow its end")
    if len(set(names)) < count:
        raise reader.damaged("two of its arrays have the same name")
    return dict(zip(names, values))


def _seal(content: bytes | bytearray) -> bytes:
    """Return eight bytes for the place that MXNet leaves at 0, the first of them 1."""
    digest = hashlib.sha256(content[: _SEAL.start])
    digest.update(memoryview(content)[_SEAL.stop :])
    return b"\1" + digest.digest()[:7]


def _array(reader: _Reader, number: int) -> np.ndarray:
    magic, storage, dimensions = reader.unpack("Iii", f"header of array {number}")
    if magic not in _ARRAY_MAGICS or storage != _DENSE or not 0 < dimensions <= 32:
        raise reader.damaged(f"array {number} is not a dense array as MXNet 1.x writes it")
    shape = reader.unpack(f"{dimensions}q", f"shape of array {number}")
    _, _, code = reader.unpack("iii", f"type of array {number}")
    if code not in _DTYPES or min(shape) < 1:
        raise reader.damaged(f"array {number} has the impossible shape {shape} or type {code}")
    dtype = _DTYPES[code]
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    return np.frombuffer(reader.take(size, f"array {number}"), dtype).reshape(shape)


class _Reader:
    """Reads a byte string from the front, never beyond its end."""

    def __init__(self, content: bytes, origin: str) -> None:
        self.content, self.origin, self.position = content, origin, 0

    def take(self, size: int, what: str) -> bytes:
        if size > self.rest():
            raise self.damaged(f"it ends within its {what}")
        self.position += size
        return self.content[self.position - size : self.position]

    def unpack(self, layout: str, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self.take(struct.calcsize(f"<{layout}"), what))

    def plausible(self, count: int, least: int, what: str) -> int:
        if count * least > self.rest():
            raise self.damaged(f"it is too short for the {count} {what} it announces")
        return count

    def rest(self) -> int:
        return len(self.content) - self.position

    def damaged(self, reason: str) -> WeightsError:
        return WeightsError(f"{self.origin} is damaged or no parameter file: {reason}")
