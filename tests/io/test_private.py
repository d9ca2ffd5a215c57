"""Files that other users could have planted are not read, and damaged files are not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.errors import ZooError
from zoo.io import private

CONTENT = bytes(range(256)) * 8
OTHER = 12345  # another user's ID
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return private.cache("code")


@pytest.fixture
def file(folder: Path) -> Path:
    private.write(folder / "file", CONTENT)
    return folder / "file"


def test_what_is_written_is_read(file: Path):
    assert private.read(file) == CONTENT
    private.write(file, b"")
    assert private.read(file) == b""
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize("umask", [0, 0o002, 0o077])
def test_nobody_else_may_write_whatever_the_umask(umask: int, tmp_path: Path):
    code = "from zoo.io import private; private.write(private.cache('code') / 'file', b'content')"
    subprocess.run(
        [sys.executable, "-c", f"import os; os.umask({umask}); {code}"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "a" / "b")}, check=True, timeout=60,
    )  # fmt: skip
    made = list((tmp_path / "a").rglob("*"))
    assert [path.name for path in made] == ["b", "mxnet-mnist-zoo", "code", "file"]
    assert not [path for path in made if path.stat().st_mode & 0o022]


def test_damage_is_noticed_wherever_it_is(file: Path):
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert private.read(file) is None
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        assert private.read(file) is None
    file.write_bytes(whole + b"\0")
    assert private.read(file) is None


@pytest.mark.parametrize("there", ["nothing", "a pipe", "a link", "a dangling link", "a directory"])
def test_what_is_no_file_is_not_read_and_makes_way(there: str, file: Path, tmp_path: Path):
    elsewhere = file.rename(tmp_path / "elsewhere")
    if there == "a pipe":
        os.mkfifo(file)
    elif there == "a link":
        file.symlink_to(elsewhere)
    elif there == "a dangling link":
        file.symlink_to(tmp_path / "gone")
    elif there == "a directory":
        (file / "of the user").mkdir(parents=True)
    assert private.read(file) is None
    if there == "a directory":
        with pytest.raises(ZooError, match=f"cannot write {file}: Is a directory"):
            private.write(file, b"new")
        assert (file / "of the user").is_dir() and os.listdir(file.parent) == ["file"]
    else:
        private.write(file, b"new")
        assert private.read(file) == b"new" and private.read(elsewhere) == CONTENT


@pytest.mark.parametrize("mode", [0o666, 0o602])
def test_a_file_that_others_can_write_is_refused(mode: int, file: Path):
    file.chmod(mode)
    with pytest.raises(ZooError, match=f"other users can write to {file}"):
        private.read(file)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o703, 0o773])
def test_a_folder_that_others_can_write_is_refused(mode: int, folder: Path):
    folder.chmod(mode)
    with pytest.raises(ZooError, match=rf"other users can write to {folder} \(chmod go-w {folder} stops them\)"):
        private.cache("code")


def test_so_is_one_that_others_could_move_away(folder: Path):
    folder.parent.chmod(0o777)
    with pytest.raises(ZooError, match=f"other users can write to {folder.parent} "):
        private.cache("code")
    folder.parent.chmod(0o1777)  # like /tmp: users can move only their own files
    assert private.cache("code") == folder


def test_links_on_the_way_lead_through_folders_that_count(folder: Path, tmp_path: Path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "link").symlink_to("../cache")
    (tmp_path / "first").symlink_to(shared / "link")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first"))
    assert private.cache("code").samefile(folder)
    shared.chmod(0o777)  # whoever can replace the link chooses the folder
    with pytest.raises(ZooError, match=f"other users can write to {shared} "):
        private.cache("code")


@pytest.mark.parametrize("link", ["itself", "nowhere", "file"])
def test_a_folder_that_cannot_be_made_is_one_sentence(link: str, folder: Path, tmp_path: Path):
    folder.rmdir()
    (tmp_path / "file").touch()
    folder.symlink_to({"itself": folder, "nowhere": "gone", "file": tmp_path / "file"}[link])
    with pytest.raises(ZooError, match=f"cannot make {folder}: "):
        private.cache("code")


@as_root
def test_what_belongs_to_others_is_refused(file: Path, tmp_path: Path):
    os.chown(file, OTHER, 0)
    with pytest.raises(ZooError, match=rf"{file} belongs to another user \(uid {OTHER}\)"):
        private.read(file)
    for each in (file.parent, file.parent.parent, tmp_path / "cache"):
        os.chown(each, OTHER, 0)
        with pytest.raises(ZooError, match=rf"{each} belongs to another user \(uid {OTHER}\)"):
            private.cache("code")
        os.chown(each, 0, 0)
    assert private.cache("code") == file.parent


@as_root
def test_what_root_owns_is_good_for_everybody(file: Path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    assert private.cache("code") == file.parent and private.read(file) == CONTENT


@as_root
def test_a_group_may_write_if_it_is_the_users_own(folder: Path):
    import grp
    import pwd

    user = next((user for user in pwd.getpwall() if user.pw_uid and _is_alone(user, grp)), None)
    if user is None:
        pytest.skip("no user here has a group of their own")
    for each in (folder, folder.parent, folder.parent.parent):
        os.chown(each, user.pw_uid, user.pw_gid)
        each.chmod(0o775)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: user.pw_uid)
        private.check(folder)
        os.chown(folder, user.pw_uid, 54321)
        with pytest.raises(ZooError, match=f"other users can write to {folder}"):
            private.check(folder)


def _is_alone(user, grp) -> bool:
    import pwd

    try:
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return False
    primary = [each for each in pwd.getpwall() if each.pw_gid == user.pw_gid]
    return group.gr_name == user.pw_name and not group.gr_mem and len(primary) == 1


def test_temporary_folders_are_private_or_refused(tmp_path: Path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with private.folder() as folder:
        assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o777)
    try:
        with private.folder() as folder:
            assert folder.parent == Path("/dev/shm")
    except ZooError as error:
        assert "other users can write" in str(error)
    assert not list(tmp_path.iterdir())
