"""Which MXNet wheel is installed, and the shared libraries that it needs."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

_SYSTEM_PACKAGES = {
    "libgomp.so.1": "libgomp1 on Debian and Ubuntu, libgomp on Fedora",
    "libquadmath.so.0": "libquadmath0 on Debian and Ubuntu, libquadmath on Fedora",
}
_CANNOT_OPEN = re.compile(r"(?P<name>lib[^:/\s]+): cannot open shared object file")


class MissingLibrary(OSError):
    """A shared library that libmxnet.so links to is nowhere to be found."""


def mxnet_distribution() -> str | None:
    """Name and version of the wheel that installed ``mxnet``, None for a custom build or if there is no MXNet."""
    spec = importlib.util.find_spec("mxnet")
    for package in (spec and spec.submodule_search_locations) or ():
        # Look beside the package: metadata.distributions() would read the metadata of every installed package.
        for folder in Path(package).parent.glob("mxnet*.dist-info"):
            distribution = metadata.Distribution.at(folder)
            if re.fullmatch(r"mxnet(-cu\d+)?", distribution.metadata["Name"].lower()):
                return f"{distribution.metadata['Name']} {distribution.version}"
    return None


def preload_for(library: Path) -> tuple[str, ...]:
    """Load ``library``, and before it those dependencies that the loader cannot find and pip has installed.

    The CUDA wheels on PyPI put their libraries into ``nvidia/*/lib``, where the loader does not look. A library loaded
    globally by path satisfies the libraries that link to it by name. Returns the preloaded names, in order; raises
    :class:`MissingLibrary` for the first dependency that cannot be found.
    """
    missing = _missing(library)
    if missing is None:
        return ()
    preloaded: list[str] = []
    for name in _unresolved(library):
        if name not in preloaded:  # already loaded if another library needs it
            _preload(name, preloaded)
    _settle_checks(preloaded)
    missing = _missing(library)
    if missing is not None:
        raise MissingLibrary(_advice(missing, len(preloaded)))
    return tuple(preloaded)


def _settle_checks(preloaded: list[str]) -> None:
    """Disable MXNet's checks that warn about a correct setup, unless the user has asked for them.

    pip installs a later cuDNN 8 than MXNet was built with. MXNet warns that there is no GPU even in CPU work.
    """
    if any(name.startswith("libcudnn") for name in preloaded):
        os.environ.setdefault("MXNET_CUDNN_LIB_CHECKING", "0")
    os.environ.setdefault("MXNET_CUDA_LIB_CHECKING", "0")


def _missing(library: Path, mode: int = ctypes.DEFAULT_MODE) -> str | None:
    """Load ``library``; returns the name of the dependency that is missing, or None on success."""
    try:
        ctypes.CDLL(str(library), mode=mode)
        return None
    except OSError as error:
        match = _CANNOT_OPEN.search(str(error))
        if match is None:
            raise
        return match["name"]


def _preload(name: str, preloaded: list[str]) -> bool:
    """Load the pip-installed library ``name``, and before it its own missing dependencies; returns False on failure."""
    found = _pip_installed(name)
    if found is None:
        return False
    while (lacking := _missing(found, ctypes.RTLD_GLOBAL)) is not None:
        if lacking == name or lacking in preloaded or not _preload(lacking, preloaded):
            return False
    preloaded.append(name)
    return True


def _unresolved(library: Path) -> list[str]:
    """The dependencies of ``library`` that the loader cannot find, in link order."""
    try:
        listing = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=False).stdout
    except OSError:  # no ldd: the loader's own message will name one
        return []
    return re.findall(r"^\s*(\S+) => not found", listing, flags=re.MULTILINE)


def _pip_installed(name: str) -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () for path in Path(folder).glob(f"*/lib/{name}")), None)


def _advice(name: str, preloaded: int) -> str:
    if name in _SYSTEM_PACKAGES:
        return f"MXNet needs the system library {name}: install the package {_SYSTEM_PACKAGES[name]}"
    if name == "libcuda.so.1":
        found = f" ({preloaded} CUDA libraries from pip are loaded, only this one is missing)" if preloaded else ""
        return (
            "this MXNet is a CUDA wheel and needs libcuda.so.1 of NVIDIA's driver, which is not installed here"
            f"{found}: install the driver, or for the CPU alone run python -m zoo setup --wheel cpu"
        )
    if re.match(r"lib(cu|nv|nccl)", name):
        return (
            f"this MXNet is a CUDA wheel and needs {name}, which python -m zoo setup --wheel cu112 brings; for the CPU "
            "alone run python -m zoo setup --wheel cpu"
        )
    return f"MXNet needs the shared library {name}, which this system does not have"
