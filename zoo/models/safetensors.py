"""The ``.safetensors`` format, by the package of that name (``pip install safetensors``)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from types import ModuleType

import numpy as np

from zoo.errors import WeightsError

SUFFIX = ".safetensors"
_CHECKSUM = "sha256"  # of the arrays; in the metadata of what is written here


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Encode ``arrays`` with a checksum; raises :class:`WeightsError` for a dtype that the package does not know."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        return _package().save(plain, {_CHECKSUM: _checksum(plain)})
    except (KeyError, TypeError, ValueError) as error:  # bfloat16, which NumPy does not have
        raise WeightsError(f"safetensors cannot hold these arrays: {error}") from None


def decode(content: bytes, origin: str) -> dict[str, np.ndarray]:
    """Decode the arrays of a file; :class:`WeightsError` names ``origin`` and what is wrong with it."""
    package = _package()
    try:
        arrays = package.load(content)
    except Exception as error:  # of the package, or a KeyError or TypeError for a dtype that NumPy does not have
        raise WeightsError(f"{origin} is damaged or no safetensors file: {error}") from None
    (size,) = struct.unpack_from("<Q", content)
    known = json.loads(content[8 : 8 + size]).get("__metadata__", {}).get(_CHECKSUM)
    if known not in (None, _checksum(arrays)):
        raise WeightsError(f"{origin} is damaged: its content does not match its checksum")
    return arrays


def _package() -> ModuleType:
    try:
        from safetensors import numpy
    except ImportError:
        raise WeightsError("safetensors files need a package: pip install safetensors") from None
    return numpy


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        digest.update(np.ascontiguousarray(arrays[name]))
    return digest.hexdigest()
