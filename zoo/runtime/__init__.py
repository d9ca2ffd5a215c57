"""Prepare this process for MXNet 1.9.1, then import it: ``from zoo.runtime import mx``.

This is the one module of the project whose import has side effects, because all of them must come
before ``import mxnet``: the aliases that newer NumPy and Python releases dropped, the number of
OpenMP threads (MXNet would start half as many as there are CPUs), leave to use the processor's AMX unit,
and the CUDA libraries that pip installed where the loader does not look. What the user has set already is
left alone.

The import itself never fails. ``STATUS`` says what was found and decided; where MXNet cannot be
loaded, ``STATUS.problem`` is the sentence that says why and what to do, and touching ``mx`` raises
it as :class:`zoo.errors.MXNetUnavailable`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from zoo.errors import MXNetUnavailable
from zoo.runtime import amx, compat, libraries, startup, threads


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
        return self.distribution is not None and self.distribution.startswith("mxnet-cu")


_NOT_INSTALLED = "MXNet is not installed: pip install '.[cpu]', or '.[cu112]' for an NVIDIA GPU"


def _import_mxnet() -> tuple[ModuleType | None, tuple[str, ...], str | None]:
    """The module, the libraries preloaded for it, and the sentence on why there is none."""
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        return None, (), _NOT_INSTALLED
    preloaded: tuple[str, ...] = ()
    try:
        if "mxnet" not in sys.modules:
            compat.patch()
            library = Path(spec.submodule_search_locations[0]) / "libmxnet.so"
            if library.exists():  # a build of one's own may keep it elsewhere and finds it itself
                preloaded = libraries.preload_for(library)
        with startup.quick(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MXNet's own deprecations: nothing its users could change
            return importlib.import_module("mxnet"), preloaded, None
    except (MXNetUnavailable, libraries.MissingLibrary) as error:
        return None, preloaded, str(error)
    except Exception as error:  # whatever stops it, the user needs a sentence and not MXNet's internals
        return None, preloaded, f"MXNet is installed but cannot be imported ({type(error).__name__}: {error})"


def _prepare() -> tuple[ModuleType | None, Status]:
    number, reason = threads.choose()
    has_amx, amx_reason = amx.request()
    module, preloaded, problem = _import_mxnet()
    if has_amx and module is not None:
        amx.settle(module)
    return module, Status(libraries.mxnet_distribution(), number, reason, has_amx, amx_reason, preloaded, problem)


_module, STATUS = _prepare()
if _module is not None:
    mx = _module


def __getattr__(name: str):
    if name == "mx":
        raise MXNetUnavailable(STATUS.problem)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
