"""``zoo pack`` and ``unpack`` beside others, under limits, after kill -9, and among pipes and links to themselves."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import zoo
from zoo import console
from zoo.cli import main
from zoo.data import decoded, fetch, sources
from zoo.data.catalogue import DATASETS
from zoo.io import locks


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache of decoded images."""
    folder = tmp_path / "cache" / "decoded"
    monkeypatch.setattr(decoded, "folder", lambda: folder)
    return folder


@pytest.fixture
def digits(mnist, tmp_path: Path) -> Path:
    folder = tmp_path / "digits" / "7"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(mnist.test_images[number]).save(folder / f"{number}.png")
    return folder.parent


def refusal(capsys, *arguments: object) -> str:
    """The sentence of a command that must end with exit code 2."""
    assert main([*map(str, arguments)]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


def test_a_second_pack_into_the_same_folder_is_refused(digits: Path, tmp_path: Path, capsys):
    (tmp_path / "out").mkdir()
    with locks.held(tmp_path / "out", "a test"):
        sentence = refusal(capsys, "pack", tmp_path / "out" / "m", digits)
    assert "out is in use by another pack: wait until that has ended" in sentence and not any(
        (tmp_path / "out").iterdir()
    )
    assert main(["pack", str(tmp_path / "out" / "m"), str(digits)]) == 0


def test_packs_at_once_leave_files_that_fit(mnist, tmp_path: Path):
    outcomes = []

    def pack(images: int) -> None:
        try:
            outcomes.append(zoo.pack(tmp_path / "m", mnist.train[:images], encoding=".png").found)
        except zoo.ZooError as error:
            assert "in use by another pack" in str(error)

    threads = [threading.Thread(target=pack, args=(images,)) for images in (900, 1000)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outcomes and len(zoo.load_records(tmp_path / "m.rec")) in outcomes


def test_no_more_processes_than_the_system_allows(digits: Path, tmp_path: Path, capsys, monkeypatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(console, "_check_threads", lambda needed: None)
        patch.setattr(threading.Thread, "start", refuse)
        sentence = refusal(capsys, "pack", tmp_path / "x", digits, "--threads", "2")
        assert "does not let this user start 5 more processes and threads" in sentence
        assert main(["pack", str(tmp_path / "x"), str(digits), "--threads", "1"]) == 0
    assert "at least 1 and at most 256, not 257" in refusal(capsys, "pack", tmp_path / "x", digits, "--threads", "257")


@pytest.mark.parametrize("moment", ["semaphore", "process"])
def test_a_process_that_cannot_be_started_gets_a_sentence(
    moment: str, digits: Path, tmp_path: Path, capsys, monkeypatch
):
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    context = multiprocessing.get_context("spawn")
    owner, name = (type(context), "Lock") if moment == "semaphore" else (context.Process, "start")
    monkeypatch.setattr(owner, name, refuse)
    assert "did not start or was ended" in refusal(capsys, "pack", tmp_path / "x", digits, "--threads", "2")
    assert {path.name for path in tmp_path.iterdir()} == {"digits"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_workers_die_with_a_pack_that_is_killed(digits: Path, tmp_path: Path):
    (tmp_path / "noise").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise" / "0.jpg")
    for number in range(1, 2000):
        (tmp_path / "noise" / f"{number}.jpg").symlink_to("0.jpg")
    command = [sys.executable, "-m", "zoo", "pack", str(tmp_path / "x"), str(tmp_path / "noise"), "--threads", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pack:
        deadline = time.monotonic() + 60
        while not any(rec.stat().st_size for rec in tmp_path.glob(".pack-*/x.rec")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pack.poll() is None
        pack.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        pack.stdout.read()  # ends once nobody holds the pipe any more
        assert time.monotonic() - killed < 5
    assert main(["pack", str(tmp_path / "x"), str(digits)]) == 0
    assert not list(tmp_path.glob(".pack-*"))


def test_pipes_among_images_are_named_as_unreadable(digits: Path, tmp_path: Path, capsys):
    os.mkfifo(digits / "7" / "x.jpg")
    (digits / "7" / "y.png").symlink_to("/dev/zero")
    assert main(["pack", str(tmp_path / "x"), str(digits)]) == 1
    out, err = capsys.readouterr()
    assert "5 images found, 3 packed, 2 unreadable" in out
    assert err.splitlines() == [f"unreadable: 7/{name} (it is not a file)" for name in ("y.png", "x.jpg")]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_in_the_decoded_cache_is_replaced(kind: str, digits: Path, tmp_path: Path, cache: Path):
    zoo.pack(tmp_path / "x", digits)
    first = zoo.load_records(tmp_path / "x.rec")
    (kept,) = cache.iterdir()
    kept.unlink()
    os.mkfifo(kept) if kind == "pipe" else kept.symlink_to("/dev/zero")
    assert (zoo.load_records(tmp_path / "x.rec").images == first.images).all()
    assert kept.is_file() and not kept.is_symlink() and decoded.find(kept.stem) is not None


def test_pack_says_whether_the_cache_keeps_the_pixels(digits: Path, tmp_path: Path, cache: Path, capsys, monkeypatch):
    assert main(["pack", str(tmp_path / "x"), str(digits)]) == 0
    assert "3 images, decoded into the cache\n" in capsys.readouterr().out
    monkeypatch.setattr(decoded, "_LIMIT", 100)
    assert main(["pack", str(tmp_path / "y"), str(digits), "--encoding", ".png"]) == 0
    assert "3 images, which the cache cannot keep decoded\n" in capsys.readouterr().out
    monkeypatch.setattr(decoded, "folder", lambda: tmp_path / "x.rec" / "decoded")
    assert main(["pack", str(tmp_path / "y"), str(digits)]) == 0
    assert "3 images, which the cache cannot keep decoded\n" in capsys.readouterr().out


def test_a_pipe_in_place_of_a_file_of_the_cache_is_replaced(folder: Path, tmp_path: Path, mnist, monkeypatch):
    name = "train-labels-idx1-ubyte"
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    os.mkfifo(folder / name)

    def download(self, names, place):
        (place / name).write_bytes(content)
        yield name

    monkeypatch.setattr(sources.Mirror, "download", download)
    assert fetch.ensure(DATASETS["mnist"], folder)[name] == folder / name
    assert (folder / name).read_bytes() == content


def test_links_that_lead_to_themselves_get_a_sentence(digits: Path, tmp_path: Path, capsys):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    zoo.pack(tmp_path / "x", digits)
    assert f"cannot write into {loop}" in refusal(capsys, "pack", loop / "q", digits)
    assert f"{loop} is not an empty folder" in refusal(capsys, "unpack", tmp_path / "x.rec", loop)
    with pytest.raises(zoo.DataError, match=f"cannot put MNIST into {loop}"):
        fetch.ensure(DATASETS["mnist"], loop)
    (tmp_path / "x.idx").unlink()
    (tmp_path / "x.idx").symlink_to("x.idx")
    assert main(["pack", str(tmp_path / "x"), str(digits)]) == 0 and not (tmp_path / "x.idx").is_symlink()


def test_unpack_follows_a_link_to_an_empty_folder(digits: Path, tmp_path: Path):
    zoo.pack(tmp_path / "x", digits)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    assert zoo.unpack(tmp_path / "x.rec", tmp_path / "link") == 3
    assert len(list((tmp_path / "empty" / "7").iterdir())) == 3
