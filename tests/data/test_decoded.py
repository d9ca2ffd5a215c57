"""A .rec file is decoded once: its pixels are those of ImageRecordIter, at first and from the cache."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.cli import main
from zoo.data import decoded
from zoo.io import private
from zoo.runtime import mx


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache" / "decoded"
    monkeypatch.setattr(decoded, "folder", lambda: folder)
    return folder


@pytest.fixture
def decodings(monkeypatch) -> list[str]:
    """The names of the files that MXNet reads from then on."""
    read, iterator = [], mx.io.ImageRecordIter

    def reading(**options):
        read.append(Path(options["path_imgrec"]).name)
        return iterator(**options)

    reading.__doc__ = iterator.__doc__
    monkeypatch.setattr(mx.io, "ImageRecordIter", reading)
    return read


@pytest.fixture
def rec(mnist, tmp_path: Path) -> Path:
    zoo.pack(tmp_path / "x", mnist.train[:50])
    return tmp_path / "x.rec"


def by_mxnet(rec: Path, **options) -> tuple[np.ndarray, np.ndarray]:
    iterator = mx.io.ImageRecordIter(path_imgrec=str(rec), data_shape=(1, 28, 28), batch_size=5, verbose=False,
                                     dtype="uint8", **options)  # fmt: skip
    batches = [(batch.data[0].asnumpy()[:, 0], batch.label[0].asnumpy(), 5 - batch.pad) for batch in iterator]
    return tuple(np.concatenate([batch[number][: batch[2]] for batch in batches]) for number in (0, 1))


def same(dataset: zoo.Dataset, expected: tuple[np.ndarray, np.ndarray]) -> bool:
    return np.array_equal(dataset.images, expected[0]) and np.array_equal(dataset.labels, expected[1])


@pytest.mark.parametrize("encoding, quality", [(".jpg", 10), (".jpg", 75), (".jpg", 95), (".jpg", 100), (".png", 6)])
@pytest.mark.parametrize("color", [0, 1])
def test_pixels_are_those_of_image_record_iter(
    encoding: str, quality: int, color: int, mnist, cache: Path, decodings: list[str], tmp_path: Path
):
    (tmp_path / "3").mkdir()
    for number in range(30):
        pixels = mnist.test_images[number : number + 3] if number % 2 else mnist.test_images[[number] * 3]
        Image.fromarray(pixels.transpose(1, 2, 0).copy()).save(tmp_path / "3" / f"{number}.png")
    zoo.pack(tmp_path / "x", tmp_path / "3", color=color, encoding=encoding, quality=quality)
    expected = by_mxnet(tmp_path / "x.rec")
    decodings.clear()
    assert same(zoo.load_records(tmp_path / "x.rec"), expected) and decodings == ["x.rec"]
    assert same(zoo.load_records(tmp_path / "x.rec"), expected) and decodings == ["x.rec"]


def test_parts_are_equal_and_decoded_together(rec: Path, cache: Path, decodings: list[str]):
    expected = by_mxnet(rec)
    decodings.clear()
    for ways in (3, 7, 50):
        parts = [zoo.load_records(rec, ways, number) for number in range(ways)]
        assert np.array_equal(np.concatenate([part.images for part in parts]), expected[0])
        assert np.array_equal(np.concatenate([part.labels for part in parts]), expected[1])
        assert {len(part) for part in parts} <= {50 // ways, 50 // ways + 1}
        assert parts[1].source == f".../x.rec, part 1 of {ways}"
    assert len(decodings) == 1
    with pytest.raises(zoo.ZooError, match="at most 50, the images in .*: there is no part 0 of 51"):
        zoo.load_records(rec, 51)
    with pytest.raises(zoo.DataError, match="part 1 of 500, holds no images: take fewer parts"):
        zoo.image_record_iter(rec, 1, num_parts=500, part_index=1)


def test_the_content_decides_and_not_the_name(rec: Path, mnist, cache: Path, decodings: list[str], tmp_path: Path):
    first = zoo.load_records(rec)
    moved = zoo.load_records(rec.rename(tmp_path / "moved.rec"))
    assert moved.source == ".../moved.rec" and (moved.images == first.images).all()
    zoo.pack(tmp_path / "x", mnist.train[50:100])  # with the same name, and perhaps in the same clock tick
    assert same(zoo.load_records(rec), by_mxnet(rec)) and decodings == ["x.rec", "moved.rec", "x.rec", "x.rec"]


def test_what_is_kept_excuses_no_damage(rec: Path, cache: Path):
    zoo.load_records(rec)
    good = rec.read_bytes()
    rec.write_bytes(good[:-50] + bytes([good[-50] ^ 1]) + good[-49:])
    with pytest.raises(zoo.DataError, match=r"x\.rec is damaged"):
        zoo.load_records(rec)
    rec.write_bytes(good)
    rec.with_suffix(".idx").write_text("0\t0\n")
    with pytest.raises(zoo.DataError, match=r"x\.idx does not fit"):
        zoo.load_records(rec)


@pytest.mark.parametrize("damage", [lambda kept: kept[:-100], lambda kept: b"", lambda kept: kept[:5000] + b"!" * 99 +
                                    kept[5099:], lambda kept: b"no archive"])  # fmt: skip
def test_damage_in_the_cache_is_noticed_and_mended(damage, rec: Path, cache: Path, decodings: list[str]):
    first = zoo.load_records(rec)
    (kept,) = cache.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert same(zoo.load_records(rec), (first.images, first.labels))
    assert len(decodings) == 2


def test_without_a_cache_every_run_decodes(rec: Path, monkeypatch, decodings: list[str], tmp_path: Path):
    monkeypatch.setattr(decoded, "folder", lambda: tmp_path / "x.rec" / "decoded")
    for _ in range(2):
        assert len(zoo.load_records(rec)) == 50
    assert len(decodings) == 2


def test_pixels_that_others_could_have_put_there_do_not_count(rec: Path, cache: Path, decodings: list[str]):
    zoo.load_records(rec)
    (kept,) = cache.iterdir()
    with np.load(io.BytesIO(private.read(kept))) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    changed = io.BytesIO()
    np.savez(changed, images=255 - images, labels=labels)
    private.write(kept, changed.getvalue())
    assert np.array_equal(zoo.load_records(rec).images, 255 - images)  # changed pixels show that the cache is used
    kept.chmod(0o666)
    assert same(zoo.load_records(rec), by_mxnet(rec))
    private.write(kept, changed.getvalue())
    cache.chmod(0o777)
    assert same(zoo.load_records(rec), by_mxnet(rec))
    assert len(decodings) == 5  # the first, two that do not count, and two of this test


def test_a_file_that_changes_meanwhile_is_not_kept(rec: Path, mnist, cache: Path, monkeypatch, tmp_path: Path):
    before = rec.read_bytes()
    zoo.pack(tmp_path / "other", mnist.train[50:100])
    iterator = mx.io.ImageRecordIter

    def too_late(**options):
        rec.write_bytes((tmp_path / "other.rec").read_bytes())
        return iterator(**options)

    with monkeypatch.context() as patch:
        patch.setattr(mx.io, "ImageRecordIter", too_late)
        zoo.load_records(rec)
    rec.write_bytes(before)
    assert same(zoo.load_records(rec), by_mxnet(rec))


def test_what_was_not_used_for_longest_makes_room(
    mnist, cache: Path, monkeypatch, decodings: list[str], tmp_path: Path
):
    recs = [tmp_path / f"{name}.rec" for name in "abc"]
    for number, rec in enumerate(recs):
        zoo.pack(rec.with_suffix(""), mnist.train[100 * number :][:50])
    monkeypatch.setattr(decoded, "_LIMIT", 100_000)  # two of 40 kB
    for rec in recs[:2]:
        zoo.load_records(rec)
    for path in cache.iterdir():
        os.utime(path, (0, 0))
    for rec in (recs[0], recs[2]):
        zoo.load_records(rec)
    assert len(list(cache.iterdir())) == 2
    decodings.clear()
    for rec in (recs[0], recs[2], recs[1]):
        zoo.load_records(rec)
    assert decodings == ["b.rec"]
    monkeypatch.setattr(decoded, "_LIMIT", 10_000)
    zoo.pack(tmp_path / "large", mnist.train[:60])
    zoo.load_records(tmp_path / "large.rec")
    assert len(list(cache.iterdir())) == 2


def test_packed_digits_are_decoded_before_they_are_trained_on(
    cache: Path, decodings: list[str], tmp_path: Path, capsys
):
    assert main(["pack", str(tmp_path / "x"), "--images", "300", "--train-ratio", "0.5", "--threads", "1"]) == 0
    assert sorted(decodings) == ["x_train.rec", "x_val.rec"] and "150 images, decoded" in capsys.readouterr().out
    for part in ("train", "val"):
        zoo.load_records(tmp_path / f"x_{part}.rec")
    assert len(decodings) == 2


def test_other_images_are_packed_without(cache: Path, tmp_path: Path, capsys):
    (tmp_path / "in" / "7").mkdir(parents=True)
    Image.new("L", (40, 30)).save(tmp_path / "in" / "7" / "wide.png")
    assert main(["pack", str(tmp_path / "x"), str(tmp_path / "in"), "--threads", "1"]) == 0
    assert "x.rec: 1 images\n" in capsys.readouterr().out
