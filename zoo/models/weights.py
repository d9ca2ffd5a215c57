"""Read and write parameter files in MXNet's own ``.params`` format.

MXNet loads damaged files silently or crashes on them, and its writer does not notice a full disk. This reader checks
every length against the file and every array against the network before anything reaches MXNet. Files written here load
in ``net.load_parameters``, ``mx.model.load_checkpoint`` and ``mx.mod.Module``; files of ``net.save_parameters``,
``net.export`` and Module load here.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from zoo.errors import WeightsError, ZooError
from zoo.graph.ir import symbol_of
from zoo.io import files
from zoo.runtime import mx

# src/ndarray/ndarray.cc and src/c_api of MXNet 1.9.1
_LIST_MAGIC = 0x112
_ARRAY_MAGICS = {0xF993FAC9, 0xF993FACA}  # NDARRAY_V2, and V3 with NumPy's shape semantics
_DENSE = 0
_BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # NumPy has none; MXNet passes it in this form
_NAMES = {0: "float32", 1: "float64", 2: "float16", 3: "uint8", 4: "int32", 5: "int8", 6: "int64", 7: "bool"}
_DTYPES = {**{code: np.dtype(name) for code, name in _NAMES.items()}, 12: _BFLOAT16}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def state(net: mx.gluon.HybridBlock) -> dict[str, np.ndarray]:
    """Return the parameters of ``net`` by name, with the prefix ``arg:``, or ``aux:`` for running statistics."""
    # A forward pass in flight converts weights to oneDNN's layout in place, and waiting for the array alone does not
    # wait for that: of networks read right after their first pass, one in eight was garbled.
    mx.nd.waitall()
    parameters = net.collect_params()
    try:
        arrays = {name: parameter.list_data()[0].asnumpy() for name, parameter in parameters.items()}
    except RuntimeError:  # Gluon raises it for parameters without a shape or values
        raise ZooError("the network has no weights yet: initialize it and run it once") from None
    auxiliary = set(symbol_of(net).list_auxiliary_states())
    return {f"aux:{name}" if name in auxiliary else f"arg:{name}": array for name, array in arrays.items()}


def widened(array: np.ndarray) -> np.ndarray:
    """Return ``array``, converted to float32 if it is bfloat16."""
    return (array["bfloat16"].astype(np.uint32) << 16).view(np.float32) if array.dtype == _BFLOAT16 else array


def merge_statistics(net: mx.gluon.HybridBlock) -> None:
    """Set the running statistics on all contexts of ``net`` to their mean: each context saw a share of the data."""
    for parameter in net.collect_params().values():
        copies = parameter.list_data()
        if parameter.grad_req == "null" and len(copies) > 1:
            parameter.set_data(sum(copy.as_in_context(copies[0].ctx) for copy in copies) / len(copies))


def restore(net: mx.gluon.HybridBlock, arrays: dict[str, np.ndarray], origin: str = "these weights") -> None:
    """Load ``arrays`` into an initialized ``net``, all or none.

    Raises :class:`WeightsError` unless names, shapes and dtypes are those of the network.
    """
    parameters = net.collect_params()
    structural = {path: parameter.name for path, parameter in net._collect_params_with_prefix().items()}
    names = {name: name.split(":", 1)[-1] for name in arrays}
    if set(names.values()) == set(structural):  # as net.save_parameters writes them: "0.weight"
        names = {name: structural[path] for name, path in names.items()}
    given = {names[name]: value for name, value in arrays.items()}
    missing, foreign = sorted(set(parameters) - set(given)), sorted(set(given) - set(parameters))
    if missing or foreign:
        raise WeightsError(
            f"{origin} belong to another network: "
            + "; ".join(
                f"{label} {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
                for label, names in (("missing", missing), ("not part of this one", foreign))
                if names
            )
        )
    for name, parameter in parameters.items():
        expected = (tuple(parameter.shape), np.dtype(parameter.dtype))
        if expected != (given[name].shape, given[name].dtype):
            raise WeightsError(
                f"{origin} belong to another network: {name} is {given[name].dtype} {given[name].shape} "
                f"and should be {expected[1]} {expected[0]}"
            )
    for name, parameter in parameters.items():
        parameter.set_data(mx.nd.array(given[name], dtype=given[name].dtype))


def save_parameters(net: mx.gluon.HybridBlock, path: Path) -> str:
    """Write the parameters of ``net`` to ``path`` atomically; returns the SHA-256 of the file."""
    return save_state(state(net), path)


def save_state(arrays: dict[str, np.ndarray], path: Path) -> str:
    """Write what :func:`state` returned to ``path`` atomically; returns the SHA-256 of the file."""
    content = encode(arrays)
    with files.atomic(path) as file:
        file.write(content)
    return files.hexdigest(content)


def load_parameters(net: mx.gluon.HybridBlock, path: Path, sha256: str | None = None) -> str:
    """Read the parameters of an initialized ``net`` from ``path``; returns the SHA-256 of the file.

    If ``sha256`` is given, a file with a different hash is refused before it is parsed.
    """
    content = _content(Path(path))
    digest = files.hexdigest(content)
    if sha256 not in (None, digest):
        raise WeightsError(f"{path} was changed or damaged: its SHA-256 is {digest} and should be {sha256}")
    restore(net, decode(content, str(path)), f"the weights in {path}")
    return digest


def read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of the parameter file ``path``, whatever network they belong to."""
    return decode(_content(Path(path)), str(path))


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise WeightsError(f"cannot read {path}: it is not a file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from None


def parameter_hash(net: mx.gluon.HybridBlock) -> str:
    """Return the hash that :func:`save_parameters` would return: equal for bit-identical networks."""
    return files.hexdigest(encode(state(net)))


def encode(arrays: dict[str, np.ndarray]) -> bytes:
    """Encode ``arrays`` as the content of a ``.params`` file."""
    parts = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(arrays))]
    for value in arrays.values():
        parts.append(struct.pack("<Iii", 0xF993FAC9, _DENSE, value.ndim))
        parts.append(struct.pack(f"<{value.ndim}q", *value.shape))
        parts.append(struct.pack("<iii", 1, 0, _CODES[value.dtype]))  # saved from cpu(0)
        parts.append(np.ascontiguousarray(value).tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        parts.append(struct.pack("<Q", len(name.encode())) + name.encode())
    return b"".join(parts)


def decode(content: bytes, origin: str) -> dict[str, np.ndarray]:
    """Decode the arrays of a ``.params`` file; :class:`WeightsError` names ``origin`` and its first defect."""
    reader = _Reader(content, origin)
    magic, _, count = reader.unpack("QQQ", "header")
    if magic != _LIST_MAGIC:
        raise reader.damaged("it is not a parameter file of MXNet (wrong magic number)")
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
