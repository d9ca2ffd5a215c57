"""``import mxnet`` in two thirds of its time."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_STATISTICS = "scipy.stats"


class _Later(ModuleType):
    """Stands in for a module, in the names of those who imported it, until they use it."""

    def __getattr__(self, name: str):
        if sys.modules.get(self.__name__) is self:
            raise AttributeError(f"{self.__name__} is put off until MXNet is imported")
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def quick() -> Iterator[None]:
    """For the time of the import: no search for garbage among many objects that all stay, and no SciPy's statistics.

    MXNet imports those where they are installed, which takes a second, for one way of quantizing and for its own
    tests: it gets them when it uses them.
    """
    puts_off, collects = _STATISTICS not in sys.modules, gc.isenabled()
    if puts_off:
        sys.modules[_STATISTICS] = _Later(_STATISTICS)
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        if puts_off:
            del sys.modules[_STATISTICS]
