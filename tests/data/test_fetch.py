"""Getting data sets: from mirrors, from packages, and the message if neither delivers."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data import fetch, idx
from zoo.data.catalogue import DATASETS, PublishedDataset
from zoo.data.sources import DebianPackage, Mirror, NpmPackage

MNIST = DATASETS["mnist"]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = MNIST.sha256


@pytest.fixture
def served(gzipped: Path, tmp_path_factory) -> Path:
    """What a mirror serves; it can be changed."""
    return shutil.copytree(gzipped, tmp_path_factory.mktemp("mirror"), dirs_exist_ok=True)


@pytest.fixture
def mirrored(served: Path, monkeypatch):
    """MNIST, with HTTP mirrors on this machine in place of the real ones, and no npm."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("PATH", "")
        yield replace(MNIST, sources=(Mirror(f"{address}not-here/"), Mirror(address), *MNIST.sources[-1:]))
        server.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_missing_files_are_fetched_from_the_first_mirror_that_has_them(mirrored, tmp_path_factory, mnist):
    cache = tmp_path_factory.mktemp("cache")
    paths = fetch.ensure(mirrored, cache)
    assert names(cache) == sorted(MNIST.sha256)  # and nothing temporary
    assert (idx.decode(paths[TEST_IMAGES].read_bytes(), (None, 28, 28), "") == mnist.test_images).all()


def test_damaged_cache_files_are_fetched_again(mirrored, folder: Path):
    (folder / TRAIN_IMAGES).write_bytes(b"partial")
    labels = bytearray((folder / TEST_LABELS).read_bytes())
    labels[100:103] = b"\x09\x09\x09"
    (folder / TEST_LABELS).write_bytes(labels)  # still well-formed
    fetch.ensure(mirrored, folder)
    assert fetch.is_complete(MNIST, folder)


def test_the_cache_may_hold_gzipped_files(served: Path):
    before = {path.name: path.stat().st_mtime_ns for path in served.iterdir()}
    paths = fetch.ensure(replace(MNIST, sources=()), served)
    assert paths[TEST_LABELS] == served / f"{TEST_LABELS}.gz"
    assert {path.name: path.stat().st_mtime_ns for path in served.iterdir()} == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: gzip.compress(b"something else"),
        lambda content: b"",
    ],
)
def test_what_a_broken_mirror_delivers_is_never_kept(mirrored, served: Path, tmp_path_factory, damage):
    cache = tmp_path_factory.mktemp("cache")
    path = served / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(zoo.DataError) as refusal:
        fetch.ensure(mirrored, cache)
    assert not (cache / TRAIN_IMAGES).exists()
    for words in ("it answered 404", "npm is not installed", "--data or MNIST_DIR"):
        assert words in str(refusal.value)


@pytest.mark.parametrize("name", DATASETS)
def test_without_a_network_the_error_lists_what_was_tried(name: str, tmp_path: Path, monkeypatch):
    dataset = DATASETS[name]
    packages = [source for source in dataset.sources if not isinstance(source, Mirror)]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(zoo.DataError) as refusal:
        fetch.ensure(replace(dataset, sources=(Mirror("http://127.0.0.1:9/"), *packages)), tmp_path)
    assert str(refusal.value).startswith(
        f"{dataset.title} is not in {tmp_path} and could not be fetched; tried http://127.0.0.1:9/ (no connection); the"
    )
    for package in packages:
        assert f"{package} (" in str(refusal.value)
    assert " is not installed). Put the four IDX files, raw or as .gz, into a folder" in str(refusal.value)
    assert str(refusal.value).endswith(dataset.variable)
    assert not any(tmp_path.iterdir())


def test_two_processes_may_fetch_at_once(mirrored, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    code = (
        "from pathlib import Path; from zoo.data import fetch\n"
        "from zoo.data.catalogue import PublishedDataset; from zoo.data.sources import Mirror, NpmPackage\n"
        f"fetch.ensure({mirrored!r}, Path({str(cache)!r}))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.wait(), process.stderr.read(), process.stderr.close())[0] for process in both] == [0, 0]
    assert fetch.is_complete(MNIST, cache)
    assert names(cache) == sorted(MNIST.sha256)


FILES = {
    "digits-images-idx3-ubyte": idx.encode(np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)),
    "digits-labels-idx1-ubyte": idx.encode(np.array([3, 1, 4], np.uint8)),
}
DIGITS = PublishedDataset(
    name="digits",
    title="digits",
    sha256={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
    sources=(NpmPackage("digits@1.0.0"), DebianPackage("digits", "usr/share/digits")),
    subfolder="digits",
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch) -> Path:
    """A folder of programs that comes first in PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return programs


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


def test_an_npm_package_is_read(programs: Path, tmp_path: Path):
    with tarfile.open(tmp_path / "digits-1.0.0.tgz", "w:gz") as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"package/data/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    program(programs / "npm", f'[ "$1 $2" = "pack digits@1.0.0" ] && cp {tmp_path}/digits-1.0.0.tgz .')
    paths = fetch.ensure(DIGITS, tmp_path / "cache")
    assert {name: path.read_bytes() for name, path in paths.items()} == FILES


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    """A Debian package of the digits."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    package = tmp_path / "package"
    for folder in ("DEBIAN", "usr/share/digits"):
        (package / folder).mkdir(parents=True)
    fields = {"Package": "digits", "Version": "1", "Architecture": "all", "Maintainer": "a test", "Description": "-"}
    (package / "DEBIAN/control").write_text("".join(f"{field}: {value}\n" for field, value in fields.items()))
    for name, content in FILES.items():
        (package / f"usr/share/digits/{name}.gz").write_bytes(gzip.compress(content))
    subprocess.run(["dpkg-deb", "--build", package, tmp_path / "digits.deb"], check=True, capture_output=True)
    return tmp_path / "digits.deb"


@pytest.mark.parametrize("condition", ["true", '[ -n "$(echo $* | grep Dir::State::Lists)" ]'], ids=["lists", "none"])
def test_a_debian_package_is_read_without_being_installed(deb: Path, programs: Path, tmp_path: Path, condition: str):
    """It also works where the system has no package lists, and private copies are needed."""
    dataset = replace(DIGITS, sources=DIGITS.sources[1:])
    refusal = "echo 'E: Unable to locate package digits' >&2; exit 100"
    script = f'case "$1 $2" in "download digits") {condition} && cp {deb} . || {{ {refusal}; }};; update*) ;; esac'
    program(programs / "apt-get", script)
    paths = fetch.ensure(dataset, tmp_path / "cache")
    assert {name: path.read_bytes() for name, path in paths.items()} == FILES
    assert names(tmp_path / "cache") == sorted(FILES)


def test_what_apt_and_npm_say_is_passed_on(programs: Path, tmp_path: Path):
    program(programs / "npm", "echo 'npm error code E404' >&2; echo 'npm error 404 Not Found - GET digits' >&2; exit 1")
    program(programs / "apt-get", "echo 'W: old lists' >&2; echo 'E: Unable to locate package digits' >&2; exit 100")
    with pytest.raises(zoo.DataError) as refusal:
        fetch.ensure(DIGITS, tmp_path / "cache")
    assert "the npm package digits@1.0.0 (npm: 404 Not Found - GET digits); " in str(refusal.value)
    assert "the Debian package digits (apt-get: Unable to locate package digits). " in str(refusal.value)


def test_a_package_that_is_damaged_or_lacks_files_is_refused(deb: Path, programs: Path, tmp_path: Path):
    program(programs / "npm", "echo nonsense > digits-1.0.0.tgz")
    program(programs / "apt-get", f'[ "$1" = download ] && cp {deb} . || true')
    dataset = replace(DIGITS, sources=(DIGITS.sources[0], DebianPackage("digits", "usr/share/elsewhere")))
    with pytest.raises(zoo.DataError) as refusal:
        fetch.ensure(dataset, tmp_path / "cache")
    assert "digits@1.0.0 (its archive is damaged)" in str(refusal.value)
    assert "(it has no digits-images-idx3-ubyte.gz)" in str(refusal.value)
    assert names(tmp_path / "cache") == []


def test_another_data_set_is_not_written_over(run_here, folder: Path):
    done = run_here("zoo", "fetch", "fashion-mnist", "--out", folder)
    assert done.returncode == 2 and f"{folder} has another train-images-idx3-ubyte" in done.stderr
    assert fetch.is_complete(MNIST, folder)


def test_the_command_fetches_by_name(run_here, fashion_mnist):
    done = run_here("zoo", "fetch", "fashion-mnist")
    assert done.returncode == 0 and done.stdout.startswith("Fashion-MNIST is in ")


def test_a_name_that_does_not_exist_is_refused_with_those_that_do(run_here):
    done = run_here("zoo", "fetch", "kmist")
    assert done.returncode == 2 and "'kmist' (choose from" in done.stderr and "fashion-mnist" in done.stderr
