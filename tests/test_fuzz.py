"""Damaged files of every kind through their readers: refused in one sentence or read, never a crash or an exception.

What carries a checksum is always refused. Examples are the same in every run; ``-m ""`` takes a thousand of each kind.
"""

from __future__ import annotations

import gzip
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import export
import zoo
from export import verification
from zoo.data import idx
from zoo.data.packing import pack
from zoo.data.records import load_records
from zoo.models import params, weights
from zoo.models.pretrained import manifest
from zoo.runtime import mx
from zoo.training import run_folder
from zoo.training.checkpoint import Checkpoint

FEW, MANY = 60, 1000
MOST_MEMORY = 500 << 10  # KiB that this process may grow by, whatever it is given


@dataclass(frozen=True)
class Reader:
    """How a kind of file is made and read."""

    make: Callable[[Path], Path]  # makes a valid one and its companions in a folder, and returns its path
    read: Callable[[Path], object]
    is_sealed: bool = False  # whether any change must be noticed


def _params(folder: Path) -> Path:
    zoo.save_parameters(zoo.get_model("nano", seed=0), folder / "nano.params")
    return folder / "nano.params"


def _unsealed(folder: Path) -> Path:
    path = _params(folder)
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes(8) + content[16:])
    return path


def _safetensors(folder: Path) -> Path:
    zoo.save_parameters(zoo.get_model("nano", seed=0), folder / "nano.safetensors")
    return folder / "nano.safetensors"


@cache
def _network() -> mx.gluon.HybridBlock:
    return zoo.get_model("nano", seed=1)


@cache
def _digits_to_verify() -> zoo.data.Dataset:
    return zoo.load_mnist().test[:5]


def _load(path: Path) -> object:
    return zoo.load_parameters(_network(), path)


def _load_unchanged(path: Path) -> None:
    """Its header has text that says nothing of the values: what is loaded must be what was saved."""
    zoo.load_parameters(_network(), path)
    assert zoo.parameter_hash(_network()) == zoo.parameter_hash(zoo.get_model("nano", seed=0))


def _run(folder: Path) -> None:
    """A run that was interrupted."""
    part = zoo.load_mnist().train[:200]

    def interrupt(record: zoo.EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.fit(zoo.get_model("nano", seed=0), part, part[:50], zoo.Recipe(epochs=2), out=folder, on_epoch=interrupt)


def _checkpoint(folder: Path) -> Path:
    _run(folder)
    return folder / run_folder.CHECKPOINT


def _history(folder: Path) -> Path:
    _run(folder)
    return folder / run_folder.HISTORY


def _digits(folder: Path, compress: Callable[[bytes], bytes] = bytes) -> Path:
    test = zoo.load_mnist().test[:20]
    for name in ("train", "t10k"):
        (folder / f"{name}-images-idx3-ubyte").write_bytes(compress(idx.encode(test.images)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(compress(idx.encode(test.labels)))
    return folder / "train-images-idx3-ubyte"


def _gzipped(folder: Path) -> Path:
    return _digits(folder, gzip.compress)


def _packed(folder: Path) -> Path:
    pack(folder / "digits", zoo.load_mnist().test[:20])
    return folder / "digits.rec"


def _of_others(folder: Path) -> Path:
    """As ``mx.recordio`` writes it, without checksums."""
    test = zoo.load_mnist().test[:20]
    writer = mx.recordio.MXRecordIO(str(folder / "digits.rec"), "w")
    for number, (image, label) in enumerate(zip(test.images, test.labels)):
        writer.write(mx.recordio.pack_img(mx.recordio.IRHeader(0, float(label), number, 0), image, img_fmt=".png"))
    writer.close()
    return folder / "digits.rec"


def _manifest(folder: Path) -> Path:
    (folder / "manifest.json").write_bytes((manifest.FOLDER / "manifest.json").read_bytes())
    return folder / "manifest.json"


def _symbol(folder: Path) -> Path:
    export.to_symbol(zoo.get_model("nano", seed=0), folder / "nano")
    return folder / "nano-symbol.json"


def _onnx(folder: Path) -> Path:
    export.to_onnx(zoo.get_model("nano", seed=0), folder / "nano.onnx")
    return folder / "nano.onnx"


def _verify(path: Path) -> object:
    """Read the file and compare it with a network, without runtimes: each has a process of its own, which may crash.

    Its weights carry no checksum, so other numbers are no damage that could be noticed without the network.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "RUNTIMES", ())
        return export.verify(path, _network(), _digits_to_verify())


READERS = {
    "params": Reader(_params, _load, is_sealed=True),
    "params of MXNet": Reader(_unsealed, _load),
    "safetensors": Reader(_safetensors, _load_unchanged),
    "checkpoint": Reader(_checkpoint, Checkpoint.read, is_sealed=True),
    "history": Reader(_history, zoo.History.read),
    "idx": Reader(_digits, lambda path: zoo.load_mnist(path.parent)),
    "gzipped idx": Reader(_gzipped, lambda path: zoo.load_mnist(path.parent)),
    "rec": Reader(_packed, load_records, is_sealed=True),
    "rec of others": Reader(_of_others, load_records),
    "manifest": Reader(_manifest, lambda path: manifest.read(path.parent)),
    "symbol": Reader(_symbol, export.load_symbol),
    "onnx": Reader(_onnx, _verify),
    "onnx as a network": Reader(_onnx, export.from_onnx),
}

SPOT = some.floats(0, 1, exclude_max=True)  # where in the file
CHANGE = some.one_of(
    some.tuples(some.just("flip"), SPOT, some.integers(0, 7)),
    some.tuples(some.just("set"), SPOT, some.binary(min_size=1, max_size=8)),
    some.tuples(some.just("insert"), SPOT, some.binary(min_size=1, max_size=8)),
    some.tuples(some.sampled_from(["cut", "drop", "zero", "repeat"]), SPOT, some.integers(1, 64)),
)


def changed(content: bytes, kind: str, spot: float, with_what: int | bytes) -> bytes:
    """Damage ``content`` at ``spot``."""
    start = int(spot * len(content))
    if isinstance(with_what, bytes):
        return content[:start] + with_what + content[start + (len(with_what) if kind == "set" else 0) :]
    end = start + with_what
    middle = {
        "flip": bytes([content[start] ^ 1 << with_what % 8]) + content[start + 1 : end] if content[start:] else b"",
        "drop": b"",
        "zero": bytes(len(content[start:end])),
        "repeat": 2 * content[start:end],
    }
    return content[:start] if kind == "cut" else content[:start] + middle[kind] + content[end:]


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("kind", READERS)
def test_no_damage_goes_unsaid(kind: str, count: int, mnist, tmp_path: Path):
    reader = READERS[kind]
    path = reader.make(tmp_path)
    intact = path.read_bytes()
    reader.read(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(some.lists(CHANGE, min_size=1, max_size=3))
    def damage(changes: list[tuple[str, float, int | bytes]]) -> None:
        content = intact
        for change in changes:
            content = changed(content, *change)
        path.write_bytes(content)
        try:
            reader.read(path)
        except zoo.ZooError as error:
            assert str(error) and "\n" not in str(error)
        else:
            assert not reader.is_sealed or content == intact

    damage()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


def test_weights_are_what_the_seal_covers(tmp_path: Path):
    """The fuzz above would not notice a seal over less than everything."""
    content = _params(tmp_path).read_bytes()
    assert params.decode(content, "it").keys() == weights.state(zoo.get_model("nano", seed=0)).keys()
    for place in np.linspace(0, len(content) - 1, 500).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 128
        with pytest.raises(zoo.WeightsError):
            params.decode(bytes(damaged), "it")
