"""The Python environment around MXNet: its wheel, even where pip alone refuses it, and the import hook.

MXNet's last wheel requires ``numpy<2``, which does not exist for Python 3.13 and later, so pip cannot resolve it there.
MXNet runs with newer NumPy all the same (:mod:`zoo.runtime.compat`), so :func:`install` installs the wheel without its
dependencies, and the dependencies other than NumPy separately.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from zoo.errors import ZooError
from zoo.io import children, files, temporary
from zoo.progress import is_watched
from zoo.runtime import gpus, libraries

PROJECT, VERSION = "mxnet-mnist-zoo", "1.9.1"
WHEELS = {"cpu": "mxnet", "cu112": "mxnet-cu112"}  # by extra
_NEEDS = ("requests>=2.20,<3", "graphviz>=0.8.1,<0.9")  # what the wheel requires besides NumPy
_PLATFORMS = {"cpu": {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")}, "cu112": {("Linux", "x86_64")}}
_FINDER = (Path(__file__).parent / "site/sitecustomize.py").read_text().partition("# The rest")[0]
_HOOK = f"import sys; exec({_FINDER!r})\n"  # the line of a .pth file, run whenever this environment's Python starts


@dataclass(frozen=True)
class Choice:
    """Which wheel suits this machine, and why."""

    extra: str  # a key of WHEELS
    reason: str


def choose() -> Choice:
    """The CUDA wheel if NVIDIA's driver shows GPUs and the wheel has code for all of them, else the CPU wheel."""
    refusal = gpus.refusal()
    if refusal is not None:
        return Choice("cpu", refusal)
    return Choice("cu112", f"NVIDIA's driver shows {gpus.installed()[0]}")


def install(extra: str) -> bool:
    """Install the wheel for ``extra`` and its dependencies with pip; returns False if all are installed already.

    Another MXNet is uninstalled, since both are the package ``mxnet``, but only after a trial installation of the new
    one. Raises :class:`ZooError` if there is no wheel for this platform, or with pip's last error if pip fails.
    """
    name = WHEELS[extra]
    here = (platform.system(), platform.machine())
    if here not in _PLATFORMS[extra]:
        known = " and ".join(f"{system} on {machine}" for system, machine in sorted(_PLATFORMS[extra]))
        raise ZooError(f"there is no {name} {VERSION} for {' on '.join(here)}, only for {known}")
    needs = [*_NEEDS, *_requirements(extra)]
    present = libraries.mxnet_distribution()
    if present == f"{name} {VERSION}":
        missing = [each for each in needs if not _is_installed(each)]
        if missing:
            _pip("install", *missing)
        return bool(missing)
    wheel = ("--no-deps", f"{name}=={VERSION}")
    _pip("install", *needs)
    if present is not None:
        with temporary.folder() as elsewhere:  # if this fails, without a network say, nothing is lost
            _pip("install", *wheel, "--target", str(elsewhere))
        _pip("uninstall", "--yes", present.split()[0])
    _pip("install", *wheel)
    return True


def complaint() -> str | None:
    """What ``pip check`` says about MXNet and this NumPy, explained; None if it has no complaint."""
    numpy = metadata.version("numpy")
    if libraries.mxnet_distribution() is None or int(numpy.split(".")[0]) < 2:
        return None
    return f"says that MXNet needs numpy<2, but it works with NumPy {numpy} as zoo imports it: nothing to do"


def hook_file() -> Path:
    """The file in this environment that installs the import hook whenever Python starts; it may not exist."""
    return Path(sysconfig.get_path("purelib")) / "mxnet_mnist_zoo_hook.pth"


def install_hook() -> Path:
    """Make ``import mxnet`` work in every program of this environment; raises :class:`ZooError` on failure."""
    files.write_text(hook_file(), _HOOK)
    return hook_file()


def remove_hook() -> bool:
    """Undo :func:`install_hook`; returns False if there is nothing to undo."""
    try:
        hook_file().unlink()
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ZooError(f"cannot remove {hook_file()}: {error.strerror}") from error


def _requirements(extra: str) -> list[str]:
    """The requirements that setup.cfg lists under ``extra``, except MXNet itself."""
    try:
        listed = [each.partition(";") for each in metadata.requires(PROJECT) or ()]
    except metadata.PackageNotFoundError:
        raise ZooError("this project is not installed in this environment: pip install . in its folder first") from None
    wanted = re.compile(rf"extra\s*==\s*['\"]{extra}['\"]")
    return [each.strip() for each, _, marker in listed if wanted.search(marker) and not each.startswith("mxnet")]


def _is_installed(requirement: str) -> bool:
    """Whether the required package is installed, in any version."""
    try:
        return bool(metadata.version(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]))
    except metadata.PackageNotFoundError:
        return False


def _pip(*arguments: str) -> None:
    """Run pip for this interpreter, or uv if the environment has no pip."""
    if importlib.util.find_spec("pip") is not None:
        command = [sys.executable, "-m", "pip", arguments[0], "--disable-pip-version-check", *arguments[1:]]
    elif uv := shutil.which("uv"):
        arguments = tuple(each for each in arguments if each != "--yes")
        command = [uv, "pip", arguments[0], "--python", sys.executable, *arguments[1:]]
    else:
        raise ZooError(f"this environment has no pip: make one with python3 -m venv, or {sys.executable} -m ensurepip")
    quiet = [] if is_watched() else ["--quiet"]
    try:
        children.run([*command, *quiet], stdout=None)
    except subprocess.CalledProcessError as error:
        said = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        errors = [line.partition(":")[2].strip() for line in said if line.lower().startswith("error:")] or said
        hint = "; it found no version at all: is there a network?" if "(from versions: none)" in error.stderr else ""
        reason = errors[-1] if errors else f"exit code {error.returncode}"
        raise ZooError(f"pip {arguments[0]} failed: {reason}{hint}") from None
