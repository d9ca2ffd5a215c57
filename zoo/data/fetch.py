"""Fetch a published data set's files into the cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.data import idx
from zoo.data.catalogue import PublishedDataset
from zoo.data.sources import SourceFailed
from zoo.errors import DataError, ZooError
from zoo.io import files, private, temporary


def cache(dataset: PublishedDataset) -> Path:
    """The data set's folder in the platform's cache folder (below ``XDG_CACHE_HOME`` on Linux)."""
    try:
        return files.user_cache() / dataset.subfolder
    except ZooError as error:
        raise DataError(f"{error}, or name the data with {dataset.variable}") from None


def find(folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, raw or gzipped; None if there is neither."""
    candidates = (folder / name, folder / f"{name}.gz", folder / name.replace("-idx", ".idx"))
    return next((path for path in candidates if path.is_file()), None)


def canonical(dataset: PublishedDataset, folder: Path, name: str) -> Path | None:
    """The file ``name`` in ``folder``, raw or gzipped, if its content is the canonical one."""
    checked = _checked(dataset, folder, name)
    return checked and checked[0]


def _checked(dataset: PublishedDataset, folder: Path, name: str) -> tuple[Path, bytes] | None:
    """The path that :func:`canonical` returns, with the file's uncompressed content."""
    path = find(folder, name)
    if path is None:
        return None
    try:
        content = idx.read(path)
    except DataError:
        return None
    return (path, content) if files.hexdigest(content) == dataset.sha256[name] else None


def is_complete(dataset: PublishedDataset, folder: Path) -> bool:
    """Whether ``folder`` holds all files of the data set, whole and canonical, raw or gzipped."""
    return all(canonical(dataset, folder, name) for name in dataset.sha256)


def ensure(dataset: PublishedDataset, folder: Path) -> dict[str, Path]:
    """Make ``folder`` hold the canonical files, fetching missing and damaged ones; returns their paths by name."""
    return {name: path for name, (path, _) in load(dataset, folder).items()}


def load(dataset: PublishedDataset, folder: Path) -> dict[str, tuple[Path, bytes]]:
    """Like :func:`ensure`, but return each file's path together with its checked, uncompressed content.

    Every file is checked before it is renamed into place, so neither a broken download nor a second process doing the
    same can leave a wrong file behind. Raises :class:`DataError`, which lists all that was tried, if no source
    delivers.
    """
    folder = Path(os.path.realpath(folder))
    found = {name: _checked(dataset, folder, name) for name in dataset.sha256}
    missing = {name for name, checked in found.items() if checked is None}
    tried = []
    if missing:
        print(f"fetching {dataset.title} into {folder}", file=sys.stderr, flush=True)
    for source in dataset.sources if missing else ():
        with _temporary(dataset, folder) as place:
            try:
                for name in source.download(missing, place):
                    found[name] = _accept(place / name, folder / name, dataset.sha256[name])
                    missing = missing - {name}
            except SourceFailed as failure:
                tried.append(f"{source} ({failure})")
        if not missing:
            break
    if missing:
        raise DataError(
            f"{dataset.title} is not in {folder} and could not be fetched; tried {'; '.join(tried)}. "
            f"Put the four IDX files, raw or as .gz, into a folder and name it with --data or {dataset.variable}"
        )
    return {name: checked for name, checked in found.items() if checked is not None}


def _accept(downloaded: Path, path: Path, sha256: str) -> tuple[Path, bytes]:
    content = downloaded.read_bytes()
    if files.hexdigest(content) != sha256:
        raise SourceFailed(f"its {path.name} is not the canonical one: {len(content)} bytes with another SHA-256")
    if os.path.lexists(path) and not path.is_file():  # a pipe would wait for its reader
        path.unlink()
    with files.atomic(path) as file:
        file.write(content)
    return path, content


@contextmanager
def _temporary(dataset: PublishedDataset, folder: Path) -> Iterator[Path]:
    """A temporary folder for downloads in ``folder``, made if missing; raises :class:`DataError` on disk errors."""
    try:
        private.make(folder)
        with temporary.folder(".fetch-", folder) as place:
            yield place
    except OSError as error:
        raise DataError(f"cannot put {dataset.title} into {folder}: {error.strerror or error}") from error
