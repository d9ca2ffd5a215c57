"""``zoo.image_record_iter``: options that MXNet would crash, hang or fail on are refused, and batches are right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import zoo
from zoo.runtime import mx


@pytest.fixture(scope="module")
def rec(mnist, tmp_path_factory) -> Path:
    """Two hundred digits."""
    prefix = tmp_path_factory.mktemp("packed") / "x"
    zoo.pack(prefix, mnist.train[:200], encoding=".png", seed=None)
    return prefix.with_suffix(".rec")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"prefetch_buffer": 0}, "prefetch_buffer must be 1 to 128, not 0"),
        ({"aug_seq": "x"}, "aug_seq must be 'aug_default', not 'x'"),
        ({"pca_noise": 0.1}, "pca_noise is for images of 3 channels, and data_shape names 1"),
        ({"max_rotate_angle": -5, "rotate": 3}, "max_rotate_angle must be 0 to 360, not -5"),
        ({"resize": 0}, "resize must be 1 to 65536, or -1 to leave it out, not 0"),
        ({"resize": 60_000}, "would make an image of 28×28 pixels 60000×60000"),
        ({"pad": 60_000}, "would make an image of 28×28 pixels 120028×120028"),
        ({"preprocess_threads": 0}, "preprocess_threads must be 1 to 1024, not 0"),
        ({"num_parts": 0}, "num_parts must be 1 to 1048576, not 0"),
        ({"num_parts": 2, "part_index": 2}, "there is no part 2 of 2"),
        ({"num_parts": 4}, "the batch size 64 is larger than the 5. images"),
        ({"label_width": 2}, r"record 0 \(at byte 0\) has 1 labels, and label_width is 2"),
        ({"label_width": 2, "path_imglist": True}, r"x.lst: line 1 has 1 labels, and label_width is 2"),
        ({"mean_img": "fifo"}, "mean_img is not supported"),
        ({"data_shape": (2, 28, 28)}, "data_shape must be 1, 3 or 4 channels, a height and a width"),
        ({"data_shape": (1, 60_000, 60_000)}, "the batch size 64 is too large for the data_shape"),
        ({"data_shape": (4, 28, 28)}, "MXNet cannot read .*x.rec with these options: .*Expected 4 channels"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'int8' or 'uint8', not 'float16'"),
        ({"shuffle": "yes"}, "shuffle must be False or True, not 'yes'"),
        ({"mean_r": float("nan")}, "mean_r must be .*, not nan"),
        ({"std_r": 0}, "std_r must be .*, not 0"),
        ({"scale": "1"}, "scale must be a number, not '1'"),
        ({"seed": 1 << 31}, "seed must be -2147483648 to 2147483647"),
        ({"max_crop_size": 20}, "min_crop_size and max_crop_size must be given together"),
        ({"min_random_scale": 2}, "min_random_scale must be at most max_random_scale, and 2 is above 1"),
        ({"batch_size": 0}, "batch_size must be 1 to"),
        ({"batch_size": 6.4}, "batch_size must be a whole number, not 6.4"),
        ({"path_imgidx": 5}, "path_imgidx must be a path, not 5"),
    ],
)
def test_options_that_mxnet_cannot_take_are_refused(options: dict, words: str, rec: Path):
    if "path_imglist" in options:
        options = {**options, "path_imglist": rec.with_suffix(".lst")}
    with pytest.raises(zoo.ZooError, match=words):
        zoo.image_record_iter(rec, **{"batch_size": 64, **options})


@pytest.mark.parametrize(
    "options",
    [
        {"path_imgidx": None, "dtype": None, "seed_aug": None},
        {"resize": -1, "rotate": -1, "max_img_size": 1e10, "min_aspect_ratio": None},
        {"shuffle": np.True_, "batch_size": np.int64(50), "seed": 2**31 - 1, "preprocess_threads": 1024},
        {"data_shape": [3, 28, 28], "pca_noise": 0.5, "random_h": 30, "saturation": 1, "prefetch_buffer": 128},
        {"random_resized_crop": 1, "min_random_area": 0.5, "max_aspect_ratio": 0.5, "inter_method": 9},
        {"pad": 4, "rand_crop": True, "rand_mirror": True, "max_rotate_angle": 360, "max_random_scale": 2},
    ],
)
def test_options_that_mxnet_takes_are_taken(options: dict, rec: Path):
    batches = list(zoo.image_record_iter(rec, **{"batch_size": 64, **options}))
    assert len(batches) == 4
    assert all(np.isfinite(batch.data[0].asnumpy()).all() for batch in batches)


@pytest.mark.parametrize("context", ["cpu", "gpu"])
def test_a_batch_that_is_not_rounded_repeats_its_own_images_as_padding(context: str, rec: Path, mnist):
    batches = zoo.image_record_iter(rec, 64, round_batch=False, ctx=context, dtype="uint8")
    for _ in range(3):
        epoch = list(batches)
        assert [batch.pad for batch in epoch] == [0, 0, 0, 56]
        images = np.concatenate([batch.data[0].asnumpy()[:, 0] for batch in epoch])
        labels = np.concatenate([batch.label[0].asnumpy() for batch in epoch])
        expected = [*range(200), *np.resize(range(192, 200), 56)]
        assert (images == mnist.train_images[expected]).all() and (labels == mnist.train_labels[expected]).all()
        batches.reset()


@pytest.mark.parametrize("context", ["cpu", "gpu"])
def test_a_rounded_batch_borrows_from_the_next_epoch(context: str, rec: Path, mnist):
    batches = zoo.image_record_iter(rec, 64, ctx=context)
    found = []
    for pads in ([0, 0, 0, 56], [0, 0, 48], [0, 0, 40], [0, 0, 32]):
        epoch = list(batches)
        assert [batch.pad for batch in epoch] == pads
        found += [label for batch in epoch for label in batch.label[0].asnumpy()]
        batches.reset()
    assert found == np.resize(mnist.train_labels[:200], len(found)).tolist()


def test_a_reset_within_an_epoch_begins_at_the_first_image(rec: Path, mnist):
    batches = zoo.image_record_iter(rec, 64)
    for taken in (0, 1, 3):
        for _ in range(taken):
            next(batches)
        batches.reset()
        assert next(batches).label[0].asnumpy().tolist() == mnist.train_labels[:64].tolist()
        batches.reset()


@pytest.mark.parametrize("with_index", [False, True])
def test_parts_that_are_not_rounded_make_up_the_whole(with_index: bool, rec: Path, mnist):
    options = {"path_imgidx": rec.with_suffix(".idx")} if with_index else {}
    for parts in (3, 7, 20):
        found = []
        for number in range(parts):
            batches = zoo.image_record_iter(rec, 3, round_batch=False, num_parts=parts, part_index=number, **options)
            found += [label for batch in batches for label in batch.label[0].asnumpy()[: 3 - batch.pad]]
        assert found == mnist.train_labels[:200].tolist()


def test_a_pipe_as_mean_image_does_not_hang(rec: Path, tmp_path: Path):
    os.mkfifo(tmp_path / "mean")
    code = f"import zoo; zoo.image_record_iter({str(rec)!r}, 64, mean_img={str(tmp_path / 'mean')!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "ZooError: mean_img is not supported" in done.stderr


def test_module_predicts_every_image_once_in_every_epoch(rec: Path, mnist):
    module = mx.mod.Module(zoo.get_symbol("mlp"))
    train = zoo.image_record_iter(rec, 50, shuffle=True)
    validation = zoo.image_record_iter(rec, 64, round_batch=False)
    module.fit(train, validation, num_epoch=2, optimizer_params={"learning_rate": 0.001}, initializer=mx.init.Xavier())
    predicted = module.predict(validation).asnumpy().argmax(axis=1)
    assert predicted.shape == (200,)
    assert (module.predict(validation).asnumpy().argmax(axis=1) == predicted).all()
    labels = mnist.train_labels[:200].astype(np.float32)
    images = mx.io.NDArrayIter(
        mnist.train_images[:200, None].astype(np.float32), labels, 50, label_name="softmax_label"
    )
    assert (module.predict(images).asnumpy().argmax(axis=1) == predicted).all()
