"""How paths are named in what others may read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.io import places


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    (tmp_path / "home" / "me" / "project").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home" / "me" / "project")
    return tmp_path / "home" / "me"


def test_paths_are_named_from_here_from_home_or_by_their_last_part(home: Path):
    assert places.name(home / "project" / "runs" / "a") == "runs/a"
    assert places.name(home / ".cache" / "mnist") == "~/.cache/mnist"
    assert places.name("/mnt/projects/secret/mnist") == ".../mnist"
    assert places.name("../elsewhere") == "../elsewhere" and places.name("/") == "/"


def test_paths_within_text_are_named_likewise(home: Path):
    assert places.told(f"kept in {home}/k.so, since /opt/c is full") == "kept in ~/k.so, since .../c is full"
    for same in ("120 images/s and 3/4", "see https://example.org/a/b", "~/.cache/x", "a / b", ".../mnist"):
        assert places.told(same) == same


@pytest.mark.parametrize("before", ["", "--out=", "rec:", "--data=rec:"])
def test_arguments_may_hold_any_path(before: str, home: Path):
    assert places.argument(f"{before}/data/of mine/a b") == f"{before}.../a b"
    assert places.argument(f"{before}runs/a") == f"{before}runs/a"


def test_bytes_that_are_no_text_are_replaced(home: Path):
    assert places.name(os.fsdecode(bytes(home) + b"/project/idx\xff")) == "idx\ufffd"
    assert places.name(os.fsdecode(b"caf\xc3\xa9/\xff")) == "café/\ufffd"
    assert places.told(os.fsdecode(b"cannot read /data/\xff: \xfe")) == "cannot read .../\ufffd: \ufffd"
    assert places.argument("--data=\udcff") == "--data=\ufffd"
    assert places.readable("\ud800 é \N{SNAKE}") == "\ufffd é \N{SNAKE}"


def test_without_a_home_or_a_working_directory(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    monkeypatch.setattr(Path, "cwd", lambda: (_ for _ in ()).throw(FileNotFoundError))
    assert places.name("/home/me/x") == ".../x"
