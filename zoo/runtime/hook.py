"""The import hook, which makes ``import mxnet`` anywhere in this process prepare the process first.

``import zoo`` installs it, at no cost until MXNet is imported. The preparation is in :mod:`zoo.runtime.preparation`.
Finding MXNet without importing it (``importlib.util.find_spec``) prepares nothing.
"""

import sys
from importlib import import_module

TYPE_CHECKING = False  # as in typing, whose import would take longer than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def install() -> None:
    """Put the hook in front of Python's own finders, unless it is there already."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def remove() -> None:
    """Remove the hook; a later ``import mxnet`` prepares nothing."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]


class _Finder:
    """Find ``mxnet`` with the other finders, and wrap its loader in a :class:`_Loader`."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != "mxnet":
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None or not spec.submodule_search_locations or not spec.origin:  # not a package with an __init__
            return spec
        if spec.loader is not None and not isinstance(spec.loader, _Loader):  # wrapped if another hook called this
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # a Loader needs importlib.abc
        return spec


class _Loader:
    """A wrapper around a loader that adds the work before and after it."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]  # Python has set it
        with import_module("zoo.runtime.preparation").prepared(module):
            self._loader.exec_module(module)
