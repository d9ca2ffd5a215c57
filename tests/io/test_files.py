"""Files are complete or absent, and writing never replaces anything but a file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from zoo.io import files


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path):
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_permissions_stay(tmp_path: Path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    files.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(tmp_path: Path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    files.write_text(pipe, "through")
    reader.join(timeout=10)
    assert read == ["through"] and pipe.is_fifo()


def test_what_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(zoo.ZooError, match="cannot write /dev/full: No space left on device"):
        files.write_text(Path("/dev/full"), "x")
    with pytest.raises(zoo.ZooError, match="it is a directory"):
        files.output_file(tmp_path)
    with pytest.raises(zoo.ZooError, match="cannot write into /dev/null"):
        files.output_directory(Path("/dev/null/here"))


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    return tmp_path / "one"


@pytest.mark.parametrize("use", [
    lambda path: files.write_text(path, "x"),
    lambda path: files.write_text(path / "x", "x"),
    files.output_file,
    files.output_directory,
    files.read,
])  # fmt: skip
def test_a_link_that_leads_to_itself_is_one_sentence(use: Callable[[Path], object], loop: Path):
    with pytest.raises(zoo.ZooError, match=f"cannot (read|write|write into) {loop}"):
        use(loop)
    assert loop.is_symlink() and sorted(path.name for path in loop.parent.iterdir()) == ["one", "other"]


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert files.read(tmp_path / "link") == b"12345" == files.read(tmp_path / "file", most=5)
    for path, words in (
        (tmp_path / "pipe", "pipe: it is not a file"),  # without waiting for a writer
        (Path("/dev/zero"), "/dev/zero: it is not a file"),
        (tmp_path, "it is not a file"),
        (tmp_path / "none", "none: No such file or directory"),
        (tmp_path / "a\0b", "null (byte|character)"),
    ):
        with pytest.raises(zoo.DataError, match=words):
            files.read(path, zoo.DataError)
    with pytest.raises(zoo.ZooError, match="file: it has more than 4 bytes"):
        files.read(tmp_path / "file", most=4)
