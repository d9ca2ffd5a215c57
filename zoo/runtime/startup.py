"""Make ``import mxnet`` fast, and independent of the module distutils, which Python 3.12 dropped."""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Packages that MXNet imports if they are installed, and uses for downloads, for one quantization method and its own
# tests, for images, and for an exporter. Their import is delayed until MXNet uses them.
_PUT_OFF = ("requests", "scipy.stats", "cv2", "onnx")


@contextmanager
def quick() -> Iterator[None]:
    """During the import, use stand-ins for modules and disable garbage collection, since all the new objects stay."""
    stand_ins: dict[str, ModuleType] = {
        name: _Later(name) for name in _PUT_OFF if name not in sys.modules and _is_installed(name)
    }
    if "distutils.version" not in sys.modules:
        stand_ins.update({"distutils": ModuleType("distutils"), "distutils.version": _distutils_version()})
    hidden = {name: sys.modules.pop(name) for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Move all objects to the oldest generation, so that enabling the collector does not start with a full scan.
        gc.freeze()
        gc.unfreeze()
        if collects:
            gc.enable()
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
        sys.modules.update(hidden)


class _Later(ModuleType):
    """Stand-in for a module, which is imported when an attribute is first used."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__} is put off until MXNet is imported")
        return getattr(importlib.import_module(self.__name__), name)


def _is_installed(name: str) -> bool:
    package, _, inner = name.partition(".")
    return importlib.util.find_spec(package) is not None and (not inner or package not in sys.modules)


def _distutils_version() -> ModuleType:
    """``distutils.version`` as far as MXNet needs it: to compare NumPy's version with older ones."""
    module = ModuleType("distutils.version")
    vars(module).update(StrictVersion=_Version, LooseVersion=_Version)
    return module


@functools.total_ordering
class _Version:
    """A version number; only its leading digits count, so 2.3.0rc1 equals 2.3.0."""

    def __init__(self, text: str) -> None:
        self.numbers = tuple(map(int, re.findall(r"\d+", re.split(r"[^\d.]", text, maxsplit=1)[0])))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and self.numbers == other.numbers

    def __lt__(self, other: _Version) -> bool:
        return self.numbers < other.numbers
