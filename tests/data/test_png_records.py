"""PNG images that Pillow accepts and MXNet does not: each gets a sentence that names its record."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import zoo
from zoo.cli import main
from zoo.data import png, recordio
from zoo.runtime import mx


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
ROWS = chunk(b"IDAT", zlib.compress(bytes(29 * 28)))
END = chunk(b"IEND")


def packed(path: Path, *images: bytes) -> Path:
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for number, image in enumerate(images):
        writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, 1.0, number, 0), image))
    writer.close()
    return path


@pytest.mark.parametrize(
    "content, words",
    [
        (HEADER + chunk(b"ABCD") + ROWS + END, "its chunk 'ABCD' is unknown"),
        (chunk(b"CgBI", bytes(4)) + HEADER + ROWS + END, "its chunk 'CgBI' is unknown"),
        (HEADER + HEADER + ROWS + END, "does not start with its only IHDR chunk"),
        (HEADER + ROWS, "it has no IEND chunk"),
        (HEADER + ROWS[:-1] + b"!" + END, "fails its checksum"),
        (HEADER + chunk(b"IDAT", zlib.compress(bytes(29 * 20))) + END, "its rows have 580 bytes, and 812 belong"),
        (HEADER + chunk(b"IDAT", zlib.compress(bytes(29 * 28))[:-9]) + END, "holds no image that can be decoded"),
        (b"no chunks at all", "holds no image that can be decoded"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("truncated", [False, True])
def test_images_that_mxnet_cannot_decode_are_refused(
    content: bytes, words: str, truncated: bool, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated)
    rec = packed(tmp_path / "x.rec", SIGNATURE + HEADER + ROWS + END, SIGNATURE + content)
    for read in (zoo.load_records, lambda rec: list(zoo.image_record_iter(rec, 1))):
        with pytest.raises(zoo.DataError, match=rf"x\.rec is damaged: record 1 .*{words}"):
            read(rec)
    assert main(["evaluate", "mlp", "--data", f"rec:{rec}"]) == 2
    assert "record 1 (at byte" in capsys.readouterr().err


def test_a_text_is_called_no_image(tmp_path: Path):
    with pytest.raises(zoo.DataError, match=r"record 0 .* \(it is neither a JPEG nor a PNG image\)"):
        zoo.load_records(packed(tmp_path / "x.rec", b"no image"))


def test_sealed_images_that_mxnet_cannot_decode_are_named_too(tmp_path: Path):
    images = [SIGNATURE + HEADER + ROWS + END, SIGNATURE + HEADER + chunk(b"ABCD") + ROWS + END]
    writer = mx.recordio.MXRecordIO(str(tmp_path / "x.rec"), "w")
    for number, image in enumerate(images):
        writer.write(recordio.encode(number, 1.0, image, number, number == 1))
    writer.close()
    for read in (zoo.load_records, lambda rec: list(zoo.image_record_iter(rec, 1))):
        with pytest.raises(zoo.DataError, match=r"x\.rec is damaged: record 1 .* 'ABCD' is unknown"):
            read(tmp_path / "x.rec")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_whole_images_have_no_fault(mode: str):
    content = io.BytesIO()
    pixels = np.arange(28 * 28, dtype=np.uint16).reshape(28, 28)
    image = Image.fromarray(pixels) if mode == "I;16" else Image.fromarray(pixels.astype(np.uint8)).convert(mode)
    image.save(content, "PNG")
    assert png.fault(content.getvalue()) is None
    assert png.fault(content.getvalue() + b"what follows") is None


def test_interlaced_images_have_no_fault(tmp_path: Path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 1))
    extents = [(4, 4), (3, 4), (7, 3), (7, 7), (14, 7), (14, 14), (28, 14)]  # width and rows of the seven passes
    rows = chunk(b"IDAT", zlib.compress(bytes(sum(height * (1 + width) for width, height in extents))))
    assert len(zoo.load_records(packed(tmp_path / "x.rec", SIGNATURE + header + rows + END))) == 1
