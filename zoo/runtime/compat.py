"""Restore what MXNet 1.9.1 expects of NumPy and Python and later releases removed.

MXNet looks some names up in ``numpy`` itself, so they are restored there, in this process only. Only missing names are
added: a name that NumPy has keeps NumPy's meaning. With them, MXNet runs on NumPy 1.23 to 2.5.
"""

from __future__ import annotations

import functools
import multiprocessing
import multiprocessing.pool  # MXNet's data loader expects it to be loaded
import numbers
import struct
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, NoReturn

import numpy

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_CONSTANTS = {
    "PZERO": 0.0, "NZERO": -0.0, "PINF": numpy.inf, "NINF": -numpy.inf, "Inf": numpy.inf, "NAN": numpy.nan,
    "NaN": numpy.nan, "bool": bool, "int": int, "compat": SimpleNamespace(basestring=str),
}  # fmt: skip
_RENAMED = {"alltrue": "all", "sometrue": "any", "round_": "round", "product": "prod", "trapz": "trapezoid"}
_FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")  # gone since NumPy 1.20


def patch() -> None:
    """Restore the names that ``import mxnet`` looks up in NumPy."""
    present = vars(numpy)
    replacements = {
        **_CONSTANTS,
        **{old: present[new] for old, new in _RENAMED.items() if new in present},
        **{name: _removed(name) for name in _FINANCIAL},
        "in1d": _in1d,
        "msort": _msort,
    }
    for name, value in replacements.items():
        if name not in present:
            setattr(numpy, name, value)


def mend(mxnet: ModuleType) -> None:
    """Replace the parts of MXNet that NumPy 2 or Python 3.14 no longer allow."""
    recordio = mxnet.recordio
    recordio.pack, recordio.pack_img = _pack(recordio), _pack_img(recordio)
    for caller in (mxnet._ctypes.ndarray, mxnet._ctypes.symbol, mxnet.symbol.symbol, mxnet.io.io):
        caller.str = _Text  # these modules call str() to pass attributes to operators
    if sys.version_info >= (3, 14) and sys.platform == "linux":
        mxnet.gluon.data.dataloader.multiprocessing = _forking()


def attribute_text(value: object) -> str:
    """Format ``value`` as MXNet's operators parse it: numbers in lists and tuples are bare, not ``np.float64(0.1)``."""
    wordy = (list, tuple, numpy.generic)
    if not isinstance(value, (list, tuple)) or not any(isinstance(each, wordy) for each in value):
        return str(value)
    inner = ", ".join(attribute_text(each) if isinstance(each, wordy) else repr(each) for each in value)
    if isinstance(value, list):
        return f"[{inner}]"
    return f"({inner},)" if len(value) == 1 else f"({inner})"


class _StrType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, str)

    def __call__(cls, value: object = "") -> str:
        return attribute_text(value)


class _Text(metaclass=_StrType):
    """Stand-in for ``str`` in MXNet modules, which call it and use it in ``isinstance``."""


def _forking() -> ModuleType:
    """``multiprocessing`` as on Linux up to Python 3.13: data loaders fork, so data sets need no pickling."""
    forking, context = ModuleType(multiprocessing.__name__), multiprocessing.get_context("fork")
    vars(forking).update(vars(multiprocessing))
    vars(forking).update(Pool=context.Pool, Process=context.Process, get_context=context.get_context)
    return forking


def _removed(name: str) -> Callable[..., NoReturn]:
    def function(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"NumPy dropped the function {name} in 1.20: the package numpy-financial has it")

    function.__name__ = name
    return function


def _in1d(ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, invert: bool = False) -> numpy.ndarray:
    """Whether each element of ``ar1``, flattened, is in ``ar2``."""
    return numpy.isin(numpy.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def _msort(a: ArrayLike) -> numpy.ndarray:
    """A copy of ``a``, sorted along its first axis."""
    return numpy.sort(a, axis=0)


def _pack(recordio: ModuleType) -> Callable[..., bytes]:
    """``mxnet.recordio.pack``, without ``ndarray.tostring``, which NumPy 2.3 dropped."""
    original = recordio.pack

    @functools.wraps(original)
    def pack(header: tuple[object, ...], s: bytes) -> bytes:
        named = recordio.IRHeader(*header)
        if isinstance(named.label, numbers.Number):
            return original(named, s)
        labels = numpy.asarray(named.label, dtype=numpy.float32)
        named = named._replace(flag=labels.size, label=0)
        return struct.pack(recordio._IR_FORMAT, *named) + labels.tobytes() + s

    return pack


def _pack_img(recordio: ModuleType) -> Callable[..., bytes]:
    """``mxnet.recordio.pack_img``, without ``ndarray.tostring``."""
    original = recordio.pack_img

    @functools.wraps(original)
    def pack_img(header: tuple[object, ...], img: numpy.ndarray, quality: int = 95, img_fmt: str = ".jpg") -> bytes:
        cv2 = recordio.cv2
        assert cv2 is not None, "pack_img needs OpenCV: pip install opencv-python-headless"
        flag = {".JPG": "IMWRITE_JPEG_QUALITY", ".JPEG": "IMWRITE_JPEG_QUALITY", ".PNG": "IMWRITE_PNG_COMPRESSION"}
        kind = flag.get(img_fmt.upper())
        encoded, content = cv2.imencode(img_fmt, img, [getattr(cv2, kind), quality] if kind else None)
        assert encoded, "failed to encode image"
        return recordio.pack(header, content.tobytes())

    return pack_img
