"""What training from a ``.rec`` file waits for before its first epoch: decoding at first, later the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import zoo
from zoo.data import decoded


@pytest.fixture(scope="module")
def rec(tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp("packed") / "mnist"
    zoo.pack(prefix, zoo.load_mnist().train[:10_000])
    return prefix.with_suffix(".rec")


@pytest.mark.parametrize("kept", [False, True], ids=["decoded", "kept"])
def test_loading(measure, record, kept: bool, rec: Path, monkeypatch, tmp_path: Path):
    """10,000 JPEGs of quality 95, from a file in the page cache."""
    monkeypatch.setattr(decoded, "folder", lambda: tmp_path / "decoded")
    zoo.load_records(rec)

    def forget() -> None:
        if not kept:
            shutil.rmtree(tmp_path / "decoded")

    done = measure(zoo.load_records, rec, setup=forget)
    assert len(done) == 10_000
    record(len(done), phase="data", context="cpu(0)", dtype="uint8")
