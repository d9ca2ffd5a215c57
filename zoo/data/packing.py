"""From images to RecordIO files and back: ``pack`` and ``unpack``."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from zoo.console import mxnet_reason, startable_threads
from zoo.data import listing, recordio
from zoo.data.images import MODES, QUALITIES, encode, prepare_process
from zoo.data.listing import Entry
from zoo.data.mnist import Dataset
from zoo.errors import DataError, ZooError
from zoo.io import files, locks, temporary
from zoo.progress import progress_bar
from zoo.runtime import STATUS, mx

_DEFAULT_QUALITIES = {".jpg": 95, ".png": 6}
_WINDOW = 1000  # images in flight at a time
_PROCESSES = 4  # encode as fast as one can write
_MOST_PROCESSES = 256


@dataclass(frozen=True)
class Packed:
    """The result of :func:`pack`."""

    parts: tuple[tuple[Path, int], ...]  # the .rec files, and how many images each holds
    found: int  # images: those in the files and the unreadable ones
    unreadable: tuple[tuple[str, str], ...]  # path and reason
    classes: tuple[tuple[str, float], ...]  # folder and label
    ignored: int  # files without an image extension


def pack(
    prefix: Path,
    source: Path | Dataset,
    train_ratio: float = 1.0,
    test_ratio: float = 0.0,
    color: int = 0,
    quality: int | None = None,
    encoding: str = ".jpg",
    threads: int | None = 1,
    seed: int | None = 100,
    progress: bool | None = None,
) -> Packed:
    """Write ``PREFIX.lst``, ``.rec`` and ``.idx``, or these for each part (``PREFIX_train.lst`` ...), as im2rec does.

    A folder is searched recursively; each folder that holds images is a class. If all class names are whole numbers,
    these are the labels; otherwise the labels are 0, 1, 2, … in the order of the names. The images are in the order of
    ``im2rec.py``, whose seed is 100, whatever the value of ``threads``; a ``seed`` of None keeps them sorted.

    Args:
        train_ratio: 1 makes one file; below 1, ``test_ratio`` goes to ``_test``, and the rest to ``_val``.
        color: 0 makes the images grey, 1 makes them colored, -1 leaves them as they are.
        quality: JPEG quality from 1 to 100 (None: 95), or PNG compression level from 1 to 9 (None: 6).
        threads: number of processes that decode and encode; None chooses it by the CPUs and the images.
        progress: whether to show a progress bar on stderr; None shows it on terminals and in notebooks.

    Images that cannot be read are left out of the files and named in the result. All files appear together, after they
    have been read back. Raises :class:`DataError` for a source without readable images, and :class:`ZooError` for
    invalid options and for files that cannot be written.
    """
    quality = _checked(train_ratio, test_ratio, color, quality, encoding, threads)
    prefix = _writable(Path(prefix))
    listed = listing.of_dataset(source, encoding) if isinstance(source, Dataset) else listing.of_folder(Path(source))
    entries = list(listed.entries)
    if seed is not None:
        random.Random(seed).shuffle(entries)
    if threads is None:
        threads = min(STATUS.threads, _PROCESSES, len(entries) // _WINDOW + 1)

    parts: list[tuple[Path, int]] = []
    unreadable: list[tuple[str, str]] = []
    convert = partial(encode, color=color, quality=quality, encoding=encoding)
    with _mapping(threads) as mapped, progress_bar(progress, total=len(entries), desc="packing", unit="img") as bar:

        def readable(part: Sequence[Entry]) -> Iterator[tuple[Entry, bytes]]:
            for start in range(0, len(part), _WINDOW):
                window = part[start : start + _WINDOW]
                for entry, image in zip(window, mapped(convert, map(listed.image, window))):
                    bar.update()
                    if {"\t", "\r", "\n"} & set(entry.path):
                        image = "its name contains a tab or line break"
                    if isinstance(image, bytes):
                        yield entry, image
                    else:
                        unreadable.append((entry.path, image))

        with _workshop(prefix.parent) as folder, locks.held(prefix.parent, "another pack"):
            for suffix, part in listing.split(entries, train_ratio, test_ratio):
                packed = _write(folder / f"{prefix.name}{suffix}", readable(part))
                if packed:
                    parts.append((prefix.with_name(f"{prefix.name}{suffix}.rec"), packed))
            if len(unreadable) == len(entries):
                path, reason = unreadable[0]
                raise DataError(f"none of the {len(entries)} images can be read, such as {path}: {reason}")
            for file in sorted(folder.iterdir()):
                file.replace(prefix.parent / file.name)
    return Packed(tuple(parts), len(entries), tuple(unreadable), listed.classes, listed.ignored)


def unpack(rec: Path, out: Path, progress: bool | None = None) -> int:
    """Write the encoded images of a ``.rec`` file to ``OUT/LABEL/INDEX.jpg`` or ``.png``; returns their number.

    ``out`` must be missing or empty, and appears once it is complete.
    """
    out = Path(os.path.realpath(out))  # a folder cannot take the place of a link
    records = recordio.check(Path(rec))
    if len({record.index for record in records}) < len(records):
        raise DataError(f"{rec} has several records with the same index, which would be files of the same name")
    if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
        raise ZooError(f"{out} is not an empty folder: name another one")
    total = len(records)
    with _workshop(out.parent) as folder, progress_bar(progress, total=total, desc="unpacking", unit="img") as bar:
        for record in records:
            if len(record.labels) > 1:
                raise DataError(
                    f"{rec}: record {record.index} has {len(record.labels)} labels, and unpack needs exactly one"
                )
            kind, _ = recordio.format_and_size(record, Path(rec))
            path = folder / "unpacked" / f"{record.labels[0]:g}" / f"{record.index:05d}{recordio.FORMATS[kind]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.image)
            bar.update()
        (folder / "unpacked").replace(out)
    return total


def _checked(train: float, test: float, color: int, quality: int | None, encoding: str, threads: int | None) -> int:
    if not (0 < train <= 1 and 0 <= test < 1 and train + test <= 1 + 1e-9):
        raise ZooError(
            "the ratios must be above 0 for training, at least 0 for testing, and at most 1 together, "
            f"not {train:g} and {test:g}"
        )
    if color not in MODES:
        raise ZooError(f"color must be 0 (grey), 1 (colored) or -1 (as it is), not {color!r}")
    if encoding not in QUALITIES:
        raise ZooError(f"encoding must be {' or '.join(QUALITIES)}, not {encoding!r}")
    quality = _DEFAULT_QUALITIES[encoding] if quality is None else quality
    if quality not in QUALITIES[encoding]:
        raise ZooError(f"quality must be 1 to {QUALITIES[encoding][-1]} for {encoding}, not {quality}")
    if threads is not None and not 1 <= threads <= _MOST_PROCESSES:
        raise ZooError(f"threads must be at least 1 and at most {_MOST_PROCESSES}, not {threads}")
    return quality


def _writable(prefix: Path) -> Path:
    if prefix.with_name(f"{prefix.name}.rec").is_dir():
        raise ZooError(f"cannot write {prefix}.rec: it is a directory")
    files.output_directory(prefix.parent)
    return prefix


def _write(path: Path, images: Iterator[tuple[Entry, bytes]]) -> int:
    """Write one part to ``path`` with three extensions, unless it has no images; returns the number of images."""
    rec, idx, lst = (path.with_name(path.name + extension) for extension in (".rec", ".idx", ".lst"))
    lines: list[str] = []
    writer = mx.recordio.MXIndexedRecordIO(str(idx), str(rec), "w")
    try:
        following = next(images, None)
        while following is not None:
            (entry, image), following = following, next(images, None)
            record = recordio.encode(entry.index, entry.label, image, place=len(lines), is_last=following is None)
            writer.write_idx(entry.index, record)
            lines.append(f"{entry.index}\t{entry.label:f}\t{entry.path}\n")
    except mx.base.MXNetError as error:
        raise ZooError(f"cannot write {rec.name}: {mxnet_reason(error)}") from None
    finally:
        writer.close()
    if not lines:
        rec.unlink()
        idx.unlink()
        return 0
    lst.write_bytes("".join(lines).encode(errors="surrogateescape"))
    recordio.check(rec, idx, lst)  # MXNet does not report a full disk when it closes a file
    return len(lines)


@contextmanager
def _workshop(parent: Path) -> Iterator[Path]:
    """A temporary folder in ``parent``; write errors are raised as a :class:`ZooError`."""
    files.output_directory(parent)
    try:
        with temporary.folder(".pack-", parent) as folder:
            yield folder
    except OSError as error:
        raise ZooError(f"cannot write into {parent}: {error.strerror or error}") from error


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[..., Iterator[bytes | str]]]:
    """``map`` over ``threads`` processes, since Pillow encodes with the GIL held; they are spawned, without MXNet."""
    if threads == 1:
        yield map
        return
    needed = threads + 3  # the pool has two threads and a process of its own
    if startable_threads(needed) < needed:  # it would wait for the missing for ever
        raise ZooError(
            f"the system does not let this user start {needed} more processes and threads: pack with one thread "
            "(--threads 1), or raise the limit (ulimit -u)"
        )
    chunk = max(1, _WINDOW // (4 * threads))

    def mapped(*arguments: Any) -> Iterator[bytes | str]:  # noqa: ANN401  those of map
        try:
            return pool.map(*arguments, chunksize=chunk)
        except OSError as error:  # it starts processes only now
            raise _not_started() from error

    try:
        pool = ProcessPoolExecutor(threads, get_context("spawn"), prepare_process, (os.getpid(),))
    except OSError as error:
        raise _not_started() from error
    try:
        with pool:
            yield mapped
    except BrokenProcessPool:
        raise _not_started() from None


def _not_started() -> ZooError:
    return ZooError(
        "a process that encodes images did not start or was ended: try fewer threads, and in a script of your own "
        'pack under `if __name__ == "__main__":`'
    )
