"""MNIST as users get it, and what they are told when they do not."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data import idx
from zoo.data.catalogue import DATASETS

FILES = TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = tuple(DATASETS["mnist"].sha256)


def test_shapes_and_types(mnist):
    assert (mnist.train_images.shape, mnist.test_images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert mnist.train_images.dtype == mnist.train_labels.dtype == np.uint8
    assert len(mnist.train) == 60_000 and len(mnist.test) == 10_000


def test_it_is_mnist(mnist):
    assert mnist.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.train_images.mean() == pytest.approx(33.3184, abs=1e-4)  # the 0.1307 that everyone normalizes with
    assert mnist.train_images[0, 7, 7:20].tolist() == [49, 238, 253, 253, 253, 253, 253, 253, 253, 253, 251, 93, 82]


def test_it_is_fashion_mnist(fashion_mnist):
    assert (fashion_mnist.train_images.shape, fashion_mnist.test_images.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert fashion_mnist.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert fashion_mnist.test_labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert np.bincount(fashion_mnist.train_labels).tolist() == [6000] * 10
    assert fashion_mnist.train_images.mean() == pytest.approx(72.9404, abs=1e-4)  # 0.2860, which it is normalized with
    assert "not the canonical" not in fashion_mnist.source


def test_parts_of_a_data_set(mnist):
    held_out = mnist.train[-5000:]
    assert len(held_out) == 5000
    assert (held_out.images[0] == mnist.train_images[55_000]).all() and held_out.labels[0] == mnist.train_labels[55_000]


def test_gzipped_files_are_the_same(folder: Path, mnist):
    for name in FILES:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 1))
        (folder / name).unlink()
    loaded = zoo.load_mnist(folder)
    assert (loaded.test_images == mnist.test_images).all() and (loaded.train_labels == mnist.train_labels).all()


def test_a_named_folder_comes_before_mnist_dir_and_that_before_the_cache(folder: Path, monkeypatch):
    assert zoo.load_mnist(folder).source == f".../{folder.name}"
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert zoo.load_mnist().source == f".../{folder.name}"
    monkeypatch.setenv("MNIST_DIR", str(folder / "nowhere"))
    assert zoo.load_mnist(folder).source == f".../{folder.name}"
    with pytest.raises(zoo.DataError, match=r"nowhere \(MNIST_DIR\) lacks train-images-idx3-ubyte"):
        zoo.load_mnist()


def test_other_data_in_the_same_format_is_not_called_mnist(folder: Path, mnist):
    (folder / TRAIN_IMAGES).write_bytes(idx.encode(mnist.train_images[::-1].copy()))
    assert "not the canonical MNIST files" in zoo.load_mnist(folder).source
    assert "not the canonical Fashion-MNIST files" in zoo.load_fashion_mnist(folder).source


def test_each_data_set_has_a_variable_of_its_own(folder: Path, fashion_mnist, monkeypatch):
    monkeypatch.setenv("MNIST_DIR", str(folder))
    assert zoo.load_fashion_mnist().source == fashion_mnist.source
    monkeypatch.setenv("FASHION_MNIST_DIR", str(folder / "nowhere"))
    with pytest.raises(zoo.DataError, match=r"nowhere \(FASHION_MNIST_DIR\) lacks train-images-idx3-ubyte"):
        zoo.load_fashion_mnist()


def patch(path: Path, position: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[position : position + len(value)] = value
    path.write_bytes(content)


DAMAGES = {
    "wrong magic number": (TRAIN_IMAGES, lambda p: patch(p, 3, b"\x01"), "not an IDX file"),
    "labels in place of images": (TEST_IMAGES, lambda p: shutil.copy(p.with_name(TEST_LABELS), p), "not an IDX file"),
    "truncated": (TRAIN_IMAGES, lambda p: p.write_bytes(p.read_bytes()[:-1]), "wrong size"),
    "truncated header": (TEST_LABELS, lambda p: p.write_bytes(p.read_bytes()[:6]), "truncated"),
    "too long": (TEST_LABELS, lambda p: p.write_bytes(p.read_bytes() + b"\0"), "wrong size"),
    "empty": (TRAIN_LABELS, lambda p: p.write_bytes(b""), "only 0 bytes"),
    "label 10": (TRAIN_LABELS, lambda p: patch(p, 8, b"\x0a"), "labels go up to 10"),
    "other image size": (TEST_IMAGES, lambda p: patch(p, 8, b"\0\0\0\x1c\0\0\0\x1b"), "28×27"),
    "counts disagree": (
        TEST_LABELS,
        lambda p: p.write_bytes(idx.encode(np.zeros(9999, np.uint8))),
        "holds 10000 images and",
    ),
    "an HTML page": (TEST_IMAGES, lambda p: p.write_text("<html>not found</html>"), "not an IDX file"),
    "damaged gzip": (TEST_LABELS, lambda p: p.write_bytes(gzip.compress(p.read_bytes())[:-9]), "damaged gzip"),
    "missing": (TEST_LABELS, lambda p: p.unlink(), "lacks t10k-labels-idx1-ubyte"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_by_name(folder: Path, damage: str):
    name, inflict, words = DAMAGES[damage]
    inflict(folder / name)
    with pytest.raises(zoo.DataError, match=words) as refusal:
        zoo.load_mnist(folder)
    assert str(folder if damage == "missing" else folder / name) in str(refusal.value)


@pytest.mark.parametrize(
    "images, labels, words",
    [
        (np.zeros((2, 28, 28), np.float32), np.zeros(2, np.uint8), "images must be uint8"),
        (np.zeros((2, 1, 28, 28), np.uint8), np.zeros(2, np.uint8), "images must be uint8"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros((2, 1), np.uint8), "labels must be uint8"),
        (np.zeros((2, 28, 28), np.uint8), np.full(2, np.nan), "labels must be uint8"),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(3, np.uint8), "2 images and 3 labels"),
        (np.zeros((2, 28, 28), np.uint8), np.full(2, 10, np.uint8), "labels go up to 10"),
        (np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8), "holds no images"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(images: np.ndarray, labels: np.ndarray, words: str):
    with pytest.raises(zoo.DataError, match=words):
        zoo.Dataset(images, labels)


def test_synthetic_data_says_so():
    data = zoo.synthetic(train=100, test=10)
    assert data.train.synthetic and "synthetic" in data.source and data.train_images.shape == (100, 28, 28)
