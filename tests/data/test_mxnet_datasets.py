"""MXNet's own loaders of MNIST and Fashion-MNIST, whose hosts are gone, give the same results from local files."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.data import fetch, idx
from zoo.data.catalogue import DATASETS
from zoo.data.sources import Mirror
from zoo.io import files
from zoo.runtime import mx, mxnet_datasets

NAMES = TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = tuple(DATASETS["mnist"].sha256)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch):
    """The loaders, in an empty current directory. A download by MXNet is an error unless the file is already here."""
    mxnet_datasets.install(mx)
    monkeypatch.chdir(tmp_path)

    def download(url: str, path: str = "", dirname: str = "", sha1_hash: str | None = None) -> str:
        here = Path(path, dirname, url.rpartition("/")[2])
        assert here.exists(), f"MXNet asked for {url}"
        return str(here)

    monkeypatch.setattr(mx.test_utils, "download", download)
    monkeypatch.setattr(mx.gluon.data.vision.datasets, "download", download)


@pytest.fixture
def unreachable(tmp_path_factory, monkeypatch):
    """An empty cache, with nothing that could fill it."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(files, "user_cache", lambda: cache)
    for name, dataset in DATASETS.items():
        monkeypatch.setitem(DATASETS, name, replace(dataset, sources=(Mirror("http://127.0.0.1:9/"),)))


def assert_same(ours, theirs) -> None:
    assert type(ours) is type(theirs) and ours.dtype == theirs.dtype and ours.shape == theirs.shape
    as_numpy = [each.asnumpy() if hasattr(each, "asnumpy") else each for each in (ours, theirs)]
    np.testing.assert_array_equal(*as_numpy)


def test_get_mnist_gives_what_the_original_reads_from_the_same_files(gzipped: Path, monkeypatch):
    ours = mx.test_utils.get_mnist()
    monkeypatch.chdir(gzipped)
    theirs = mx.test_utils.get_mnist.__wrapped__()
    assert list(ours) == list(theirs) == ["train_data", "train_label", "test_data", "test_label"]
    for key, value in theirs.items():
        assert_same(ours[key], value)


def test_the_report_trains_on_get_mnist():
    """The report's iterators, loop and validation, with a network that learns in a second."""
    mnist = mx.test_utils.get_mnist()
    batch_size = 200
    train_data = mx.io.NDArrayIter(mnist["train_data"], mnist["train_label"], batch_size, shuffle=True)
    val_data = mx.io.NDArrayIter(mnist["test_data"], mnist["test_label"], batch_size)
    net = mx.gluon.nn.Dense(10)
    net.initialize(mx.init.Xavier(magnitude=2.24))
    loss_function = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    for batch in train_data:
        (data,) = mx.gluon.utils.split_and_load(batch.data[0], ctx_list=[mx.cpu()], batch_axis=0)
        (label,) = mx.gluon.utils.split_and_load(batch.label[0], ctx_list=[mx.cpu()], batch_axis=0)
        with mx.autograd.record():
            loss = loss_function(net(data), label)
        loss.backward()
        trainer.step(batch.data[0].shape[0])
    metric = mx.metric.Accuracy()
    for batch in val_data:
        metric.update(batch.label, [net(batch.data[0])])
    assert metric.get()[1] > 0.85


def test_files_in_the_current_directory_come_first():
    Path(f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(idx.encode(np.full((2, 28, 28), 51, np.uint8))))
    Path(f"{TEST_LABELS}.gz").write_bytes(gzip.compress(idx.encode(np.array([3, 7], np.uint8))))
    mnist = mx.test_utils.get_mnist()
    assert mnist["test_label"].tolist() == [3, 7] and (mnist["test_data"] == np.float32(0.2)).all()
    assert len(mnist["train_data"]) == 60_000


@pytest.mark.parametrize(
    "content, words",
    [
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x02\x03\x07")[:-9], "damaged gzip"),
        (gzip.compress(b"<html>"), "not an IDX file"),
        (gzip.compress(idx.encode(np.zeros(9, np.uint8))), "10000 images and t10k-labels-idx1-ubyte.gz 9 labels"),
    ],
    ids=["truncated", "a page", "other data"],
)
def test_a_damaged_file_in_the_current_directory_is_named(content: bytes, words: str):
    Path(f"{TEST_LABELS}.gz").write_bytes(content)
    with pytest.raises(zoo.DataError, match=f"{TEST_LABELS}.gz.*") as refusal:
        mx.test_utils.get_mnist()
    assert words in str(refusal.value)


def test_get_mnist_iterator_reads_files_that_appear_below_data(mnist):
    train, test = mx.test_utils.get_mnist_iterator(batch_size=100, input_shape=(784,))
    assert sorted(path.name for path in Path("data").iterdir()) == sorted(NAMES)
    labels = np.concatenate([batch.label[0].asnumpy() for batch in test])  # MNISTIter shuffles these, too
    assert (np.bincount(labels.astype(int)) == np.bincount(mnist.test_labels)).all()
    assert next(iter(train)).data[0].shape == (100, 784)


def test_files_below_data_stay_as_they_are(folder: Path, mnist):
    content = idx.encode(mnist.test_images[::-1].copy())
    Path("data").mkdir()
    Path("data", TEST_IMAGES).write_bytes(content)
    mx.test_utils.get_mnist_ubyte()
    assert Path("data", TEST_IMAGES).read_bytes() == content
    assert Path("data", TRAIN_IMAGES).read_bytes() == (folder / TRAIN_IMAGES).read_bytes()
    Path("data", TEST_IMAGES).write_bytes(content[:5000])
    with pytest.raises(zoo.DataError, match=f"data/{TEST_IMAGES} has the wrong size"):
        mx.test_utils.get_mnist_iterator(batch_size=100, input_shape=(784,))


def test_an_archive_below_data_is_unpacked(folder: Path):
    Path("data").mkdir()
    with zipfile.ZipFile("data/mnist.zip", "w") as archive:
        for name in NAMES:
            archive.write(folder / name, name)
    mx.test_utils.get_mnist_ubyte()
    assert fetch.is_complete(DATASETS["mnist"], Path("data"))
    Path("data", TEST_LABELS).unlink()
    Path("data/mnist.zip").write_bytes(b"half of one")
    with pytest.raises(zoo.DataError, match="data/mnist.zip is not a whole zip file"):
        mx.test_utils.get_mnist_ubyte()


def test_get_mnist_pkl_makes_the_file_that_theano_s_tutorials_read(mnist):
    mx.test_utils.get_mnist_pkl()
    with gzip.open("data/mnist.pkl.gz") as file:
        train, valid, test = pickle.load(file, encoding="latin1")
    assert [part[0].shape for part in (train, valid, test)] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert (train[0].dtype, train[1].dtype) == (np.float32, np.int64)
    assert (train[0].mean(), train[0].std()) == pytest.approx((0.13044983, 0.3072898))  # the values of the lost file
    assert (valid[1] == mnist.train_labels[50_000:]).all() and (test[1] == mnist.test_labels).all()
    before = os.stat("data/mnist.pkl.gz").st_mtime_ns
    mx.test_utils.get_mnist_pkl()
    assert os.stat("data/mnist.pkl.gz").st_mtime_ns == before


@pytest.mark.parametrize("is_np", [False, True], ids=["nd", "np"])
@pytest.mark.parametrize("train", [True, False])
def test_vision_mnist_gives_what_the_original_reads_from_the_same_files(gzipped: Path, monkeypatch, train, is_np):
    with mx.util.np_array(is_np):
        ours = mx.gluon.data.vision.MNIST(root="nothing here", train=train)
        monkeypatch.setattr(mx.gluon.data.vision.MNIST, "_get_data", mx.gluon.data.vision.MNIST._get_data.__wrapped__)
        theirs = mx.gluon.data.vision.MNIST(root=gzipped, train=train)
        assert len(ours) == len(theirs) == (60_000 if train else 10_000)
        assert_same(ours._data, theirs._data)
        assert_same(ours._label, theirs._label)
        assert_same(ours[7][0], theirs[7][0])
        assert type(ours[7][1]) is type(theirs[7][1]) and ours[7][1] == theirs[7][1]


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_a_data_loader_over_transformed_images(name: str, mnist, fashion_mnist):
    expected = mnist if name == "MNIST" else fashion_mnist
    vision = mx.gluon.data.vision
    transform = vision.transforms.Compose([vision.transforms.ToTensor(), vision.transforms.Normalize(0.5, 0.25)])
    dataset = getattr(vision, name)(root="nothing here", train=True).transform_first(transform)
    images, labels = next(iter(mx.gluon.data.DataLoader(dataset, batch_size=64)))
    assert (images.shape, images.dtype, labels.dtype) == ((64, 1, 28, 28), np.float32, np.int32)
    assert (labels.asnumpy() == expected.train_labels[:64]).all()
    np.testing.assert_allclose(images.asnumpy()[:, 0] * 0.25 + 0.5, expected.train_images[:64] / 255, atol=1e-6)


def test_vision_mnist_takes_a_transform_of_both():
    dataset = mx.gluon.data.vision.MNIST("nothing here", False, lambda data, label: (data.astype("float32"), -label))
    assert dataset[0][0].dtype == np.float32 and dataset[0][1] == -7


def test_files_in_root_come_first(gzipped: Path, unreachable):
    assert len(mx.gluon.data.vision.MNIST(root=str(gzipped), train=False)) == 10_000


def test_damaged_files_in_root_are_not_used(gzipped: Path):
    Path(f"{TEST_IMAGES}.gz").write_bytes(b"half of one")
    Path(f"{TEST_LABELS}.gz").write_bytes((gzipped / f"{TEST_LABELS}.gz").read_bytes())
    assert len(mx.gluon.data.vision.MNIST(root=".", train=False)) == 10_000
    assert Path(f"{TEST_IMAGES}.gz").read_bytes() == b"half of one"


def test_a_subclass_for_other_data_keeps_its_files(unreachable):
    """A subclass as people wrote for KMNIST: with other hashes, perhaps other names."""
    contents = {
        TEST_IMAGES: gzip.compress(idx.encode(np.full((2, 28, 28), 9, np.uint8))),
        TEST_LABELS: gzip.compress(idx.encode(np.array([4, 2], np.uint8))),
    }
    for name, content in contents.items():
        Path(f"{name}.gz").write_bytes(content)

    class Other(mx.gluon.data.vision.MNIST):
        def _get_data(self):
            hashes = [(f"{name}.gz", hashlib.sha1(content).hexdigest()) for name, content in contents.items()]
            self._test_data, self._test_label = hashes
            super()._get_data()

    assert Other(root=".", train=False)._label.tolist() == [4, 2]


def test_a_repository_of_the_user_s_own_is_asked_first(unreachable, monkeypatch):
    monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:9/mine")
    with pytest.raises(zoo.DataError, match="tried http://127.0.0.1:9/mine/gluon/dataset/fashion-mnist/ "):
        mx.gluon.data.vision.FashionMNIST(root="nothing here")


@pytest.mark.parametrize(
    "load",
    [
        lambda: mx.test_utils.get_mnist(),
        lambda: mx.test_utils.get_mnist_ubyte(),
        lambda: mx.test_utils.get_mnist_iterator(100, (784,)),
        lambda: mx.test_utils.get_mnist_pkl(),
        lambda: mx.gluon.data.vision.MNIST(root="nothing here"),
        lambda: mx.gluon.data.vision.FashionMNIST(root="nothing here"),
    ],
)
def test_data_that_cannot_be_had_are_one_sentence(load, unreachable):
    with pytest.raises(zoo.DataError, match=r"MNIST is not in .* tried http://127.0.0.1:9/ \(no connection\)"):
        load()
    assert not list(Path("data").glob("*"))


def test_names_signatures_and_docstrings_are_mxnet_s():
    for function, words in (
        (mx.test_utils.get_mnist, "Download and load the MNIST dataset"),
        (mx.test_utils.get_mnist_ubyte, "ubyte version"),
        (mx.test_utils.get_mnist_pkl, "pkl.gz"),
    ):
        assert words in function.__doc__ and pickle.loads(pickle.dumps(function)) is function
        assert not inspect.signature(function).parameters
    assert list(inspect.signature(mx.gluon.data.vision.MNIST).parameters) == ["root", "train", "transform"]


def test_installing_twice_changes_nothing():
    owners = {"get_mnist": mx.test_utils, "get_mnist_ubyte": mx.test_utils, "_get_data": mx.gluon.data.vision.MNIST}
    before = {name: getattr(owner, name) for name, owner in owners.items()}
    mxnet_datasets.install(mx)
    assert {name: getattr(owner, name) for name, owner in owners.items()} == before


def test_importing_it_costs_nothing():
    heavy = "{'mxnet', 'numpy', 'requests', 'zoo.data'}"
    code = f"import sys, zoo.runtime.mxnet_datasets; print(sorted({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
