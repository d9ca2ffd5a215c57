"""Build the stand-ins for the CUDA libraries that a CUDA wheel's ``libmxnet.so`` links to.

    python tests/stand_in/build.py path/to/libmxnet.so FOLDER

They are put in ``FOLDER/nvidia/*/lib``, as pip lays out NVIDIA's, for PYTHONPATH=FOLDER, and the driver's in
``FOLDER/driver``, for LD_LIBRARY_PATH. ``stand_in.h`` names the variables that describe the machine. Functions that
must return data are in the C files here; for all others that libmxnet.so needs, bodies that count the call and return
success are generated from its own list.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Library:
    """One shared library that libmxnet.so links to."""

    soname: str
    folder: str  # under FOLDER
    symbols: str  # pattern of the names that libmxnet.so imports from it
    sources: tuple[str, ...] = ()
    versioned: bool = True  # whether libmxnet.so needs versioned symbols, with versions named after the library

    @property
    def name(self) -> str:
        return self.soname[3 : self.soname.index(".so")]


RUNTIME = Library(
    "libcudart.so.11.0", "nvidia/cuda_runtime/lib", r"_*cuda[A-Z]\w*", ("devices.c", "memory.c", "kernels.c")
)
DRIVER = Library("libcuda.so.1", "driver", r"cu[A-Z]\w*", ("driver.c",), versioned=False)
LIBRARIES = (
    Library("libcudnn.so.8", "nvidia/cudnn/lib", r"cudnn\w+", ("dnn.c",)),
    Library("libcublas.so.11", "nvidia/cublas/lib", r"cublas\w+", ("blas.c",)),
    Library("libnvrtc.so.11.2", "nvidia/cuda_nvrtc/lib", r"nvrtc\w+", ("compiler.c",)),
    Library("libcurand.so.10", "nvidia/curand/lib", r"curand\w+", ("others.c",)),
    Library("libcufft.so.10", "nvidia/cufft/lib", r"cufft\w+", ("others.c",)),
    Library("libcusolver.so.11", "nvidia/cusolver/lib", r"cusolver\w+", ("others.c",)),
    Library("libnccl.so.2", "nvidia/nccl/lib", r"nccl[A-Z]\w*", ("others.c",), versioned=False),
    Library("libnvToolsExt.so.1", "nvidia/nvtx/lib", r"nvtx\w+"),
)


def build(libmxnet: Path, folder: Path) -> None:
    """Build all stand-ins for ``libmxnet`` under ``folder``; needs gcc and nm."""
    listing = subprocess.run(["nm", "-D", "-u", str(libmxnet)], capture_output=True, text=True, check=True).stdout
    wanted = re.findall(r"^ +U (\w+)", listing, flags=re.MULTILINE)
    runtime = _build(RUNTIME, wanted, folder)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda library: _build(library, wanted, folder, runtime), LIBRARIES))
    _build(DRIVER, wanted, folder)


def build_driver(folder: Path) -> Path:
    """Build the driver alone, for code that queries devices; returns its folder."""
    return _build(DRIVER, [], folder).parent


def _build(library: Library, wanted: list[str], folder: Path, runtime: Path | None = None) -> Path:
    target = folder / library.folder / library.soname
    target.parent.mkdir(parents=True, exist_ok=True)
    sources = [HERE / name for name in library.sources]
    names = [name for name in wanted if re.fullmatch(library.symbols, name)]
    generated = target.with_suffix(".c")
    generated.write_text(_generated(names, sources, library))
    script = target.with_suffix(".map")
    script.write_text(f"{library.soname} {{ global: *; }};\n" if library.versioned else "{ global: *; };\n")
    options = ["-std=gnu11", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{HERE}", f"-DLIBRARY_{library.name}"]
    names_it = [f"-Wl,-soname,{library.soname}", f"-Wl,--version-script={script}"]
    inputs = [*sources, generated, *([runtime] if runtime else [])]
    subprocess.run(["gcc", *options, *names_it, "-o", target, *inputs, "-ldl", "-lpthread"], check=True)
    return target


def _generated(names: list[str], sources: list[Path], library: Library) -> str:
    """Generate bodies for those of ``names`` that ``sources`` do not define."""
    text = "".join(subprocess.run(
        ["gcc", "-E", "-P", f"-DLIBRARY_{library.name}", source], capture_output=True, text=True, check=True
    ).stdout for source in sources)  # fmt: skip
    bodies = [_body(name) for name in names if not re.search(rf"\b{name}\s*\([^;{{}}]*\)\s*{{", text)]
    return "\n".join(['#include "stand_in.h"', *bodies, ""])


def _body(name: str) -> str:
    """``__cudaRegisterVar`` and the like are not counted: they only announce what is in a program."""
    counts = "" if name.startswith("__") else f'stand_in_count("{name}"); '
    return f"EXPORT int {name}(void) {{ {counts}return 0; }}"


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
