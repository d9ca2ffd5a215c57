"""Damaged .rec files: each gives one sentence, and none aborts the process."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

import zoo
from zoo.data import recordio
from zoo.runtime import mx

IM2REC = Path(mx.__file__).parent / "tools" / "im2rec.py"
RECIPE = zoo.Recipe(epochs=2, batch_size=50, learning_rate=0.1)


@pytest.fixture(scope="module")
def packed(mnist, tmp_path_factory) -> Path:
    """``small_train`` and ``small_test``, 900 and 100 digits."""
    prefix = tmp_path_factory.mktemp("packed") / "small"
    zoo.pack(prefix, mnist.train[:1000], train_ratio=0.9, test_ratio=0.1)
    return prefix


@pytest.fixture(scope="module")
def three(mnist, tmp_path_factory) -> bytes:
    """A file of three records."""
    prefix = tmp_path_factory.mktemp("three") / "x"
    zoo.pack(prefix, mnist.train[:3])
    return prefix.with_suffix(".rec").read_bytes()


def test_every_truncation_is_noticed(three: bytes, tmp_path: Path):
    rec = tmp_path / "x.rec"
    for length in range(len(three)):
        rec.write_bytes(three[:length])
        with pytest.raises(zoo.DataError, match=r"x\.rec is (empty|truncated|damaged|not a RecordIO file)"):
            recordio.check(rec)


def test_every_flipped_bit_is_noticed(three: bytes, tmp_path: Path):
    rec = tmp_path / "x.rec"
    for position in range(len(three)):
        damaged = bytearray(three)
        damaged[position] ^= 1 << position % 8
        rec.write_bytes(damaged)
        with pytest.raises(zoo.DataError, match=r"x\.rec is (truncated|damaged|not a RecordIO file)"):
            recordio.check(rec)


def test_files_put_one_behind_the_other_are_a_file(three: bytes, tmp_path: Path):
    (tmp_path / "x.rec").write_bytes(three + three)
    assert len(zoo.load_records(tmp_path / "x.rec")) == 6


def test_records_that_hold_the_magic_number_are_read_as_mxnet_writes_them(three: bytes, mnist, tmp_path: Path):
    magic = struct.pack("<I", 0xCED7230A)
    content = io.BytesIO()
    Image.fromarray(mnist.train_images[0]).save(content, "JPEG", comment=magic * 5)
    writer = mx.recordio.MXRecordIO(str(tmp_path / "x.rec"), "w")
    writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, 5.0, 1, 0), content.getvalue()))
    writer.close()
    (record,) = recordio.check(tmp_path / "x.rec")
    assert record.image == content.getvalue() and len(zoo.load_records(tmp_path / "x.rec")) == 1


def damages(good: bytes, starts: list[int]):
    """More than forty files that MXNet would abort on, fail on, or accept as they are."""
    random_ = random.Random(0)

    def patched(position: int, value: bytes) -> bytes:
        return good[:position] + value + good[position + len(value) :]

    for length in [
        0,
        3,
        4,
        8,
        20,
        *starts[1:4],
        *(start + 8 for start in starts[4:8]),
        *random_.sample(range(len(good)), 8),
    ]:
        yield good[:length]
    for _ in range(12):
        position = random_.randrange(len(good))
        yield patched(position, bytes([good[position] ^ 1 << random_.randrange(8)]))
    start = starts[5]
    yield patched(start, b"\0\0\0\0")
    yield patched(start + 4, b"\xff\xff\xff\x1f")
    yield patched(start + 7, b"\x20")
    yield patched(start + 8, b"\xff\xff\xff\xff")
    yield patched(start + 12, b"\x00\x00\xc0\x7f")
    yield patched(start + 32, b"\0" * 200)
    yield patched(start + 7, b"\x60")
    yield patched(start + 4, b"\0\0\0\0")
    yield patched(start + 4, b"\x08\0\0\0")
    yield good[starts[1] :]
    yield good[: starts[2]] + good[starts[3] :]
    yield good + b"\0"
    yield good[::-1]
    yield b"label,pixel\n" * 500
    yield b"\x1f\x8b" + good
    yield b"\x89PNG\r\n\x1a\n" + good
    yield b"PK\x03\x04" * 100


def test_damaged_files_get_a_sentence_each_and_no_abort(packed: Path, tmp_path: Path):
    good = Path(f"{packed}_test.rec").read_bytes()
    files = []
    for number, content in enumerate(damages(good, [record.offset for record in recordio.check(f"{packed}_test.rec")])):
        assert content != good
        files.append(tmp_path / f"{number}.rec")
        files[-1].write_bytes(content)
    assert len(files) > 40
    code = (
        "import sys; from zoo.cli import main\n"
        "for file in sys.argv[1:]: print(main(['train', 'mlp', '--data', f'rec:{file}']))"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, files)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == ["2"] * len(files)
    sentences = done.stderr.splitlines()
    assert len(sentences) == len(files)
    for file, sentence in zip(files, sentences):
        assert sentence.startswith(f"error: {file} is "), sentence


def test_damaged_files_of_others_never_abort(packed: Path, tmp_path: Path):
    """Without seals, damage within an image may go unnoticed; what is noticed is reported, and nothing aborts."""
    writer = mx.recordio.MXRecordIO(str(tmp_path / "good.rec"), "w")
    for record in recordio.check(f"{packed}_test.rec"):
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, record.labels[0], record.index, 0), record.image))
    writer.close()
    good = (tmp_path / "good.rec").read_bytes()
    starts = [record.offset for record in recordio.check(tmp_path / "good.rec")]
    files = []
    for number, content in enumerate([good, *damages(good, starts)]):
        files.append(tmp_path / f"{number}.rec")
        files[-1].write_bytes(content)
    code = (
        "import sys, zoo\nfor file in sys.argv[1:]:\n"
        "    try: print(len(zoo.load_records(file)))\n    except zoo.ZooError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        cwd=ROOT, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(files) and answers[0] == "100"
    assert sum(not answer.isdecimal() for answer in answers) > 28
