"""``import mxnet`` in a fraction of its time, and without the module distutils, which Python 3.12 dropped."""

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

# Packages that MXNet imports where they are installed, and uses for downloads, for one way of quantizing and for its
# own tests, for pictures, and for an exporter: it gets them when it uses them.
_PUT_OFF = ("requests", "scipy.stats", "cv2", "onnx")


@contextmanager
def quick() -> Iterator[None]:
    """For the time of the import: stand-ins for modules, and no search for garbage among many objects that all stay."""
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
        gc.freeze()  # and
        gc.unfreeze()  # all that is there now counts as old, so that enabling it does not begin with a search of it all
        if collects:
            gc.enable()
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
        sys.modules.update(hidden)


class _Later(ModuleType):
    """Stands in for a module, in the names of those who imported it, until they use it."""

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__} is put off until MXNet is imported")
        return getattr(importlib.import_module(self.__name__), name)


def _is_installed(name: str) -> bool:
    package, _, inner = name.partition(".")
    return importlib.util.find_spec(package) is not None and (not inner or package not in sys.modules)


def _distutils_version() -> ModuleType:
    """``distutils.version`` as far as MXNet needs it: to compare NumPy's version with some of old."""
    module = ModuleType("distutils.version")
    vars(module).update(StrictVersion=_Version, LooseVersion=_Version)
    return module


@functools.total_ordering
class _Version:
    """A version number, of which the digits in front count: 2.3.0rc1 is as good as 2.3.0."""

    def __init__(self, text: str) -> None:
        self.numbers = tuple(map(int, re.findall(r"\d+", re.split(r"[^\d.]", text, maxsplit=1)[0])))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and self.numbers == other.numbers

    def __lt__(self, other: _Version) -> bool:
        return self.numbers < other.numbers
