"""What a killed process leaves is used again or removed; what a living one uses is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.io import files, temporary

WRITER = """
import sys
from pathlib import Path
from zoo.io import files, temporary
place = Path(sys.argv[1])
with files.atomic(place / "file") as file, temporary.folder("work-", place) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "left").write_text("by a process that was killed")
    file.write(b"half")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""


@contextmanager
def writers(count: int, place: Path) -> Iterator[list[subprocess.Popen]]:
    """Processes that are in the midst of writing to the same names."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = [subprocess.Popen([sys.executable, "-c", WRITER, str(place)], **pipes) for _ in range(count)]
    try:
        for each in started:
            assert each.stdout.readline()
        yield started
    finally:
        for each in started:
            each.kill()
            each.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_killed_processes_left_goes_with_the_next_write(tmp_path: Path):
    with writers(3, tmp_path) as processes:
        assert len(names(tmp_path)) == 6
        for each in processes:
            each.send_signal(signal.SIGKILL)
            each.wait()
        assert len(names(tmp_path)) == 6
    with temporary.folder("work-", tmp_path) as folder:
        assert not names(folder)
    files.write_text(tmp_path / "file", "whole")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "whole"


def test_living_processes_do_not_disturb_each_other(tmp_path: Path):
    with writers(2, tmp_path) as (first, second):
        files.write_text(tmp_path / "file", "by a third")
        with temporary.folder("work-", tmp_path) as folder:
            assert not names(folder)
        assert len(names(tmp_path)) == 5
        first.communicate()
        assert (tmp_path / "file").read_text() == "half"
        assert len(names(tmp_path)) == 3
        second.communicate()
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("there", ["a link", "a folder", "a pipe", "a file of another user"])
def test_what_is_in_the_way_is_not_touched(there: str, tmp_path: Path):
    way, elsewhere = tmp_path / ".file.0.part", tmp_path / "elsewhere"
    elsewhere.write_text("of the user")
    if there == "a link":
        way.symlink_to(elsewhere)
    elif there == "a folder":
        way.mkdir()
    elif there == "a pipe":
        os.mkfifo(way)
    elif os.geteuid() == 0:
        way.touch()
        os.chown(way, 65534, 65534)
    else:
        pytest.skip("needs root")
    before = os.lstat(way)
    files.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new" and elsewhere.read_text() == "of the user"
    assert os.path.samestat(before, os.lstat(way)) and os.lstat(way).st_size == before.st_size


def test_without_locks_names_are_random(tmp_path: Path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(temporary.fcntl, "flock", unsupported)
    with temporary.folder("work-", tmp_path) as first, temporary.folder("work-", tmp_path) as second:
        assert first != second and not {first.name, second.name} & {"work-0", "work-1"}
        files.write_text(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole" and names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    refused = pytest.raises(ZooError, match="cannot make a temporary folder in .*missing: No such file")
    with refused, temporary.folder("work-", tmp_path / "missing"):
        pass


def test_without_file_descriptors_nothing_is_made(tmp_path: Path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(temporary.os, "open", refuse)
    refused = pytest.raises(ZooError, match="cannot make a temporary folder in .*: Too many open files")
    with refused, temporary.folder("work-", tmp_path):
        pass
    assert len(names(tmp_path)) <= 1
