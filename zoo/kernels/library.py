"""Loads the kernels into MXNet."""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import dataclass
from functools import cache

from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.io import files, private
from zoo.kernels import compilers
from zoo.kernels.build import Built, obtain
from zoo.runtime import STATUS, mx

SWITCH = "ZOO_KERNELS"


@dataclass(frozen=True)
class Kernels:
    """What of them can be used in this process."""

    usable: bool
    convolution: bool  # zoo_convolution too
    reason: str  # why there are none, where there are none; results tell it, so it holds no path and no secret
    detail: str | None = None  # for this machine's user: where the library comes from, or what went wrong
    library: ctypes.CDLL | None = None  # with their other functions
    sha256: str | None = None  # of the library: tells sources, compiler, flags and processor apart

    @property
    def why(self) -> str:
        """Reason and detail."""
        return f"{self.reason}; {self.detail}" if self.detail else self.reason


@cache
def available() -> Kernels:
    """Load the kernels, compiling them first if this processor, compiler and version are new; never raises."""
    if os.environ.get(SWITCH, "").strip() == "0":
        return _none(f"off: {SWITCH}=0")
    try:
        compiler = compilers.find()
    except ZooError as error:
        return _none("there is no C++ compiler", str(error))
    if compiler is None:
        return _none("there is no C++ compiler", "install g++, or pip install '.[compiler]'")
    if not mx.__version__.startswith("1.9.1"):
        return _none(f"they are written for MXNet 1.9.1, and this is {mx.__version__}")
    try:
        built = obtain(compiler)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").splitlines() or [f"exit code {error.returncode}"]
        return _none("they could not be compiled", next((line for line in said if "error" in line), said[-1]))
    except (OSError, ZooError, subprocess.SubprocessError) as error:
        return _none("they could not be compiled", str(error).splitlines()[0])
    try:
        library = _load(built)
        mx.base.check_call(mx.base._LIB.MXLoadLib(os.fsencode(library._name), 0))
    except (OSError, mx.base.MXNetError) as error:
        return _none("they could not be loaded", mxnet_reason(error))
    declare(library)
    has_convolution = STATUS.amx and bool(library.zoo_has_convolution())
    sha256 = files.hexdigest(built.content)
    return Kernels(True, has_convolution, "compiled for this processor", built.origin, library, sha256)


def _none(reason: str, detail: str | None = None) -> Kernels:
    return Kernels(False, False, reason, detail)


def declare(library: ctypes.CDLL) -> None:
    """Declare the functions that :mod:`zoo.graph.compiled` calls."""
    pointer = ctypes.c_void_p
    library.zoo_program_new.argtypes = (ctypes.c_char_p, pointer, ctypes.c_int)
    library.zoo_program_new.restype = pointer
    library.zoo_program_run.argtypes = (pointer, pointer, ctypes.c_int64, pointer, ctypes.c_int)
    library.zoo_program_run.restype = None
    library.zoo_program_free.argtypes = (pointer,)
    library.zoo_program_free.restype = None


def _load(built: Built) -> ctypes.CDLL:
    """Load the very bytes whose hash was checked, from memory or a private copy: no file can change below them."""
    try:
        number = os.memfd_create("kernels")  # open as long as the process runs, for MXNet opens the path again
        with open(number, "wb", closefd=False) as file:
            file.write(built.content)
        return ctypes.CDLL(f"/proc/self/fd/{number}")
    except (AttributeError, OSError):  # another system, no /proc, or a policy against it
        path = private.lasting_folder() / "kernels.so"
        path.write_bytes(built.content)
        return ctypes.CDLL(str(path))
