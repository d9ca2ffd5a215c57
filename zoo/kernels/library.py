"""Compiles the kernels into the user's cache, and loads them into MXNet."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zoo import files
from zoo.errors import ZooError
from zoo.runtime import STATUS, cpus, mx

SWITCH = "ZOO_KERNELS"
_FOLDER = Path(__file__).parent
_MAIN = _FOLDER / "library.cc"
# Results are those of IEEE arithmetic but for the order of sums; flags that also change the process (such as
# -ffast-math, which rounds tiny numbers to zero everywhere) have no place in a library.
_FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math",
    "-fopenmp", "-fPIC", "-shared",
)  # fmt: skip
_LIMIT = 300  # seconds; it takes five or so


@dataclass(frozen=True)
class Kernels:
    """What of them can be used in this process."""

    usable: bool
    convolution: bool  # zoo_convolution too
    reason: str  # why there are none, where there are none
    path: Path | None = None  # of the library


@cache
def available() -> Kernels:
    """Load the kernels, compiling them first if this processor, compiler and version are new; never raises."""
    if os.environ.get(SWITCH, "").strip() == "0":
        return _none(f"off: {SWITCH}=0")
    compiler = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    if shutil.which(compiler[0]) is None:
        return _none(f"there is no C++ compiler {compiler[0]}")
    if not mx.__version__.startswith("1.9.1"):
        return _none(f"they are written for MXNet 1.9.1, and this is {mx.__version__}")
    try:
        library = _library(compiler)
        mx.base.check_call(mx.base._LIB.MXLoadLib(str(library).encode(), 0))
    except (OSError, ZooError, subprocess.SubprocessError, mx.base.MXNetError) as error:
        return _none(_sentence(error))
    has_convolution = bool(ctypes.CDLL(str(library)).zoo_has_convolution())
    return Kernels(True, STATUS.amx and has_convolution, "compiled for this processor", library)


def _none(reason: str) -> Kernels:
    return Kernels(False, False, reason)


def _library(compiler: list[str]) -> Path:
    """The compiled library: a file whose name tells sources, compiler and processor apart."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True, timeout=_LIMIT).stdout
    parts = [version, cpus.model_name().encode(), " ".join(sorted(cpus.flags())).encode(), " ".join(_FLAGS).encode()]
    parts += [path.read_bytes() for path in sorted(_FOLDER.glob("*.h"))] + [_MAIN.read_bytes()]
    name = f"kernels-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.so"
    library = files.user_cache() / "kernels" / name
    if not library.exists():
        if sys.stderr is not None and sys.stderr.isatty():
            print("compiling kernels for this processor, once", file=sys.stderr)
        files.output_directory(library.parent)
        with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
            built = Path(folder) / name
            command = [*compiler, *_FLAGS, str(_MAIN), "-o", str(built)]
            subprocess.run(command, capture_output=True, check=True, timeout=_LIMIT, stdin=subprocess.DEVNULL)
            with files.atomic(library) as file:
                file.write(built.read_bytes())
    return library


def _sentence(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or b"").decode(errors="replace").splitlines()
        reason = next((line for line in said if "error" in line), said[-1] if said else f"exit code {error.returncode}")
        return f"they could not be compiled: {reason}"
    return str(error).splitlines()[0]
