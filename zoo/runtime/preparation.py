"""The work before and after ``import mxnet``, and a record of what was found and decided."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from zoo.errors import MXNetUnavailable, ZooError
from zoo.runtime import amx, compat, isa, libraries, mxnet_datasets, operators, startup, threads

_NOT_INSTALLED = "MXNet is not installed: run python -m zoo setup"


@dataclass(frozen=True)
class Status:
    """What :mod:`zoo.runtime` found on this machine and decided for this process."""

    distribution: str | None  # the installed wheel and its version, such as "mxnet-cu112 1.9.1"
    threads: int  # OpenMP threads that MXNet's operators use
    threads_from: str  # why that many
    amx: bool  # whether operators may use the processor's AMX unit
    amx_reason: str  # why, or why not
    preloaded: tuple[str, ...]  # pip-installed CUDA libraries loaded for libmxnet.so
    problem: str | None  # why MXNet cannot be used, None where it can

    @property
    def is_cuda_wheel(self) -> bool:
        """Whether the installed wheel is one for NVIDIA's GPUs; False if none is installed."""
        return self.distribution is not None and self.distribution.startswith("mxnet-cu")


@dataclass(frozen=True)
class _Machine:
    """The part of the status that is decided before MXNet is loaded."""

    threads: tuple[int, str]
    amx: tuple[bool, str]


@cache
def machine() -> _Machine:
    """Set what MXNet reads when its library is loaded: the number of threads, and the permission to use AMX."""
    too_late = "mxnet.base" in sys.modules  # loads the library, and stays in sys.modules if the import fails later
    return _Machine(threads.choose(too_late), amx.request(too_late))


_preloaded: tuple[str, ...] | None = None  # names of libraries; None until MXNet is imported in a prepared process


@contextmanager
def prepared(module: ModuleType) -> Iterator[None]:
    """Do the work before and after MXNet's ``__init__`` executes; ``module`` is ``mxnet``, still empty."""
    global _preloaded
    _preloaded = ()
    try:
        for name, value in isa.settings().items():
            os.environ.setdefault(name, value)
    except ZooError as error:
        raise MXNetUnavailable(str(error)) from None
    decided = machine()
    if not hasattr(module, "__version__"):  # not a reload
        _forget_failed_import()
    compat.patch()
    library = Path(module.__path__[0], "libmxnet.so")
    if library.exists():  # a custom build may keep it elsewhere, and finds it itself
        try:
            _preloaded = libraries.preload_for(library)
        except libraries.MissingLibrary as error:
            raise MXNetUnavailable(str(error)) from None
    with startup.quick(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MXNet's own deprecations, which users cannot fix
        with operators.remembered(importlib.import_module("mxnet.base"), library):
            yield
    _finish(module)
    if decided.amx[0]:
        amx.settle(module)


def _finish(module: ModuleType) -> None:
    """Patch MXNet after its import."""
    compat.mend(module)
    mxnet_datasets.install(module)


def _forget_failed_import() -> None:
    """Drop the submodules left by a failed ``import mxnet``: the new package would lack them as attributes."""
    for name in [name for name in sys.modules if name.startswith("mxnet.")]:
        del sys.modules[name]


@cache
def result() -> tuple[ModuleType | None, Status]:
    """MXNet, imported if necessary, and the status; if MXNet is None, the status says why."""
    decided = machine()
    module, problem = _import()
    return module, Status(libraries.mxnet_distribution(), *decided.threads, *decided.amx, _preloaded or (), problem)


def _import() -> tuple[ModuleType | None, str | None]:
    """MXNet and None, or None and a sentence on why MXNet cannot be used."""
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        return None, _NOT_INSTALLED
    try:
        if "mxnet" in sys.modules and _preloaded is None:  # imported before the hook was installed
            compat.patch()
            _finish(sys.modules["mxnet"])
        return importlib.import_module("mxnet"), None
    except MXNetUnavailable as error:
        return None, str(error)
    except Exception as error:  # whatever the cause, the user needs a sentence, not MXNet's internals
        return None, f"MXNet is installed but cannot be imported ({type(error).__name__}: {error})"
