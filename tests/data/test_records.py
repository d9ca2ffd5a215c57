"""RecordIO: packed, unpacked, read by MXNet and from im2rec, trained from, and refused when damaged."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_refused
from PIL import Image

import zoo
from zoo.cli import main
from zoo.data import recordio
from zoo.runtime import mx

IM2REC = Path(mx.__file__).parent / "tools" / "im2rec.py"
RECIPE = zoo.Recipe(epochs=2, batch_size=50, learning_rate=0.1)


@pytest.fixture(scope="module")
def folder(mnist, tmp_path_factory) -> Path:
    """Class folders of a hundred digits, as PNG, so that nothing is lost."""
    root = tmp_path_factory.mktemp("digits")
    for number, (image, label) in enumerate(zip(mnist.test_images[:100], mnist.test_labels)):
        (root / str(label)).mkdir(exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"img_{number}.png")
    return root


@pytest.fixture(scope="module")
def packed(mnist, tmp_path_factory) -> Path:
    """``small_train`` and ``small_test``, 900 and 100 digits."""
    prefix = tmp_path_factory.mktemp("packed") / "small"
    zoo.pack(prefix, mnist.train[:1000], train_ratio=0.9, test_ratio=0.1)
    return prefix


def im2rec(*arguments: object) -> None:
    pytest.importorskip("cv2")
    code = f"import runpy, sys; from zoo.runtime import mx; runpy.run_path({str(IM2REC)!r}, run_name='__main__')"
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, check=True, capture_output=True)


def images_and_labels(dataset: zoo.Dataset) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(dataset.images, dataset.labels)}


def indices(rec: Path) -> list[int]:
    return [record.index for record in recordio.check(rec)]


def test_lists_are_those_of_im2rec_to_the_byte(folder: Path, tmp_path: Path):
    ratios = ("--train-ratio", 0.7, "--test-ratio", 0.2)
    im2rec("--list", "--recursive", *ratios, tmp_path / "theirs", folder)
    zoo.pack(tmp_path / "ours", folder, train_ratio=0.7, test_ratio=0.2)
    for part in ("train", "val", "test"):
        assert (tmp_path / f"ours_{part}.lst").read_bytes() == (tmp_path / f"theirs_{part}.lst").read_bytes()


def test_im2rec_packs_our_lists_and_we_read_its_files(folder: Path, tmp_path: Path):
    zoo.pack(tmp_path / "digits", folder, encoding=".png")
    ours = zoo.load_records(tmp_path / "digits.rec")
    im2rec("--color=0", "--encoding=.png", "--quality=9", tmp_path / "digits", folder)
    theirs = zoo.load_records(tmp_path / "digits.rec")
    assert (ours.images == theirs.images).all() and (ours.labels == theirs.labels).all()
    im2rec("--color=1", tmp_path / "digits", folder)  # colored JPEG: grey again when read
    assert np.abs(zoo.load_records(tmp_path / "digits.rec").images.astype(int) - ours.images).max() < 60


def test_mxnet_s_own_readers_read_our_files(packed: Path, mnist):
    rec, idx, lst = (f"{packed}_test.{extension}" for extension in ("rec", "idx", "lst"))
    expected = zoo.load_records(rec)
    reader = mx.recordio.MXIndexedRecordIO(idx, rec, "r")
    for number, key in enumerate(reader.keys):
        header, image = mx.recordio.unpack(reader.read_idx(key))
        assert header.id == key and header.label == mnist.train_labels[key] == expected.labels[number]
        assert (np.asarray(Image.open(io.BytesIO(image))) == expected.images[number]).all()
    reader.close()
    for options in ({}, {"path_imglist": lst}, {"path_imgidx": idx}):
        batch = next(
            mx.io.ImageRecordIter(path_imgrec=rec, data_shape=(1, 28, 28), batch_size=100, verbose=False, **options)
        )
        assert batch.label[0].asnumpy().tolist() == expected.labels.tolist()
        assert (batch.data[0].asnumpy()[:, 0] == expected.images).all()
    pytest.importorskip("cv2")
    image, label = mx.gluon.data.vision.ImageRecordDataset(rec, flag=0)[3]
    assert label == expected.labels[3] and (image.asnumpy()[..., 0] == expected.images[3]).all()


def test_pixels_and_labels_survive(mnist, tmp_path: Path):
    zoo.pack(tmp_path / "png", mnist.train[:200], encoding=".png", seed=None)
    lossless = zoo.load_records(tmp_path / "png.rec")
    assert (lossless.images == mnist.train_images[:200]).all() and (lossless.labels == mnist.train_labels[:200]).all()
    zoo.pack(tmp_path / "jpg", mnist.train[:200], seed=None)
    differences = np.abs(zoo.load_records(tmp_path / "jpg.rec").images.astype(int) - mnist.train_images[:200])
    assert 0 < differences.mean() < 1
    zoo.pack(tmp_path / "poor", mnist.train[:200], seed=None, quality=10)
    assert (tmp_path / "poor.rec").stat().st_size < (tmp_path / "jpg.rec").stat().st_size


@pytest.mark.parametrize("encoding", [".jpg", ".png"])
def test_unpacked_images_are_packed_again(encoding: str, mnist, tmp_path: Path):
    zoo.pack(tmp_path / "first", mnist.train[:50], encoding=encoding)
    assert zoo.unpack(tmp_path / "first.rec", tmp_path / "images") == 50
    for path in (tmp_path / "images").rglob("*.*"):
        assert path.suffix == encoding and int(path.parent.name) == mnist.train_labels[int(path.stem)]
    again = zoo.pack(tmp_path / "again", tmp_path / "images", encoding=".png")
    assert again.found == 50 and again.classes == tuple((str(label), label) for label in range(10))
    first, second = (images_and_labels(zoo.load_records(tmp_path / f"{name}.rec")) for name in ("first", "again"))
    assert first == second and len(first) == 50
    with pytest.raises(zoo.ZooError, match="images is not an empty folder"):
        zoo.unpack(tmp_path / "first.rec", tmp_path / "images")


def test_one_seed_gives_one_order_whatever_the_threads(folder: Path, tmp_path: Path):
    for name, options in {"a": {}, "b": {"threads": 3}, "c": {"seed": 1}, "sorted": {"seed": None}}.items():
        zoo.pack(tmp_path / name, folder, **options)
    assert (tmp_path / "a.rec").read_bytes() == (tmp_path / "b.rec").read_bytes()
    assert indices(tmp_path / "a.rec") != indices(tmp_path / "c.rec")
    assert indices(tmp_path / "sorted.rec") == list(range(100)) == sorted(indices(tmp_path / "c.rec"))


def test_the_command_packs_as_one_process_would(mnist, tmp_path: Path):
    assert main(["pack", str(tmp_path / "command"), "--images", "1100"]) == 0
    zoo.pack(tmp_path / "one", mnist.train[:1100])
    for extension in (".lst", ".rec", ".idx"):
        assert (tmp_path / f"command{extension}").read_bytes() == (tmp_path / f"one{extension}").read_bytes()


@pytest.mark.parametrize("images", [7, 10, 11])
@pytest.mark.parametrize("ratios", [(0.9, 0.1), (0.5, 0.25), (0.7, 0.0)])
def test_no_image_is_lost_between_the_parts(images: int, ratios: tuple, mnist, tmp_path: Path):
    packed = zoo.pack(tmp_path / "x", mnist.test[:images], *ratios)
    assert packed.found == images == sum(count for _, count in packed.parts)
    assert sorted(index for rec, _ in packed.parts for index in indices(rec)) == list(range(images))


def test_unreadable_images_are_listed_and_counted(folder: Path, tmp_path: Path, capsys):
    root = tmp_path / "images"
    zoo.pack(tmp_path / "x", folder)
    zoo.unpack(tmp_path / "x.rec", root)
    whole = next((root / "1").glob("*.jpg"))
    (root / "3" / "truncated.jpg").write_bytes(whole.read_bytes()[:-200])
    (root / "3" / "text.png").write_text("no image")
    (root / "7" / "empty.jpeg").touch()
    (root / "7" / "two\nlines.jpg").write_bytes(whole.read_bytes())
    (root / "7" / "._gone.jpg").symlink_to("nowhere")
    (root / "notes.txt").touch()
    assert main(["pack", str(tmp_path / "again"), str(root), "--train-ratio", "0.8", "--test-ratio", "0.2"]) == 1
    out, err = capsys.readouterr()
    assert "105 images found, 100 packed, 5 unreadable" in out and "other files, not called .jpeg, .jpg, .png: 1" in out
    for name in ("3/truncated.jpg", "3/text.png (it is not an image)", "7/empty.jpeg", "7/._gone.jpg (No such file"):
        assert f"unreadable: {name}" in err
    recs = [tmp_path / f"again_{part}.rec" for part in ("train", "test")]
    assert sum(len(zoo.load_records(rec)) for rec in recs) == 100
    lines = "".join(rec.with_suffix(".lst").read_text() for rec in recs)
    assert lines.count("\n") == 100 and "truncated" not in lines


def test_labels_are_the_folders_numbers_or_else_the_order_of_their_names(mnist, tmp_path: Path):
    for name in ("10", "3"):
        (tmp_path / "numbers" / name).mkdir(parents=True)
        Image.fromarray(mnist.test_images[0]).save(tmp_path / "numbers" / name / "a.png")
    assert zoo.pack(tmp_path / "n", tmp_path / "numbers").classes == (("10", 10), ("3", 3))
    (tmp_path / "numbers" / "3").rename(tmp_path / "numbers" / "three")
    assert zoo.pack(tmp_path / "n", tmp_path / "numbers").classes == (("10", 0), ("three", 1))


def test_colors(tmp_path: Path, mnist):
    digit = Image.fromarray(mnist.test_images[0])
    images = {"grey": digit, "colored": digit.convert("RGB"), "clear": digit.convert("RGBA"),
              "deep": Image.fromarray(mnist.test_images[0].astype(np.uint16) * 257)}  # fmt: skip
    (tmp_path / "images").mkdir()
    for name, image in images.items():
        image.save(tmp_path / "images" / f"{name}.png")
    modes = {0: ["L"] * 4, 1: ["RGB"] * 4, -1: ["RGBA", "RGB", "L", "L"]}
    for color, expected in modes.items():
        zoo.pack(tmp_path / "x", tmp_path / "images", color=color, encoding=".png", seed=None)
        found = [Image.open(io.BytesIO(record.image)).mode for record in recordio.check(tmp_path / "x.rec")]
        assert found == expected
        assert (zoo.load_records(tmp_path / "x.rec").images == mnist.test_images[0]).all()


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path):
    (tmp_path / "x.rec").write_text("old")
    code = (
        "import resource, sys; from zoo.cli import main; import zoo.runtime\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"sys.exit(main(['pack', {str(tmp_path / 'x')!r}, '--images', '200']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert_refused(done, "cannot write", "x.rec")
    assert [path.name for path in tmp_path.iterdir()] == ["x.rec"] and (tmp_path / "x.rec").read_text() == "old"


def test_training_from_records_is_training_from_memory(mnist, tmp_path: Path):
    zoo.pack(tmp_path / "x", mnist.train[:500], encoding=".png", seed=None)
    results = []
    for train in (mnist.train[:500], zoo.load_records(tmp_path / "x.rec")):
        net = zoo.get_model("mlp", seed=0)
        zoo.fit(net, train, recipe=RECIPE)
        results.append(zoo.parameter_hash(net))
    assert results[0] == results[1]


def test_parts_are_disjoint_and_make_up_the_whole(packed: Path):
    rec = f"{packed}_train.rec"
    whole = zoo.load_records(rec)
    for ways in (2, 7):
        parts = [zoo.load_records(rec, ways, number) for number in range(ways)]
        assert (np.concatenate([part.images for part in parts]) == whole.images).all()
        assert max(map(len, parts)) < 1.1 * 900 / ways


def test_raw_pixels_are_what_the_network_sees(mnist):
    net, part = zoo.get_model("mlp", seed=0), mnist.test[:100].raw()
    expected = net(mx.nd.array(part.images[:, None].astype(np.float32))).asnumpy()
    assert np.abs(zoo.evaluate(net, part).logits - expected).max() < 1e-3 * np.abs(expected).max()
    zoo.fit(net, part[:50], part[50:], replace(RECIPE, learning_rate=1e-4))
    with pytest.raises(zoo.ZooError, match="must both be raw, or both be scaled"):
        zoo.fit(net, part, mnist.test[:100], RECIPE)


def test_train_and_evaluate_from_records(packed: Path, tmp_path: Path, capsys):
    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    train, test = f"rec:{packed}_train.rec", f"rec:{packed}_test.rec"
    out = run("train", "mlp", "--data", train, "--validation", test, "--test", test, "--pixels", "raw",
              "--lr", "0.001", "--epochs", "3", "--out", str(tmp_path / "run"))  # fmt: skip
    assert "900 images to train on, 100 to validate on" in out
    accuracy = out.split("test, at the final epoch: ")[1].split(",")[0]
    assert float(accuracy.strip("%")) > 40
    saved = json.loads((tmp_path / "run" / "history.json").read_text())
    assert saved["data"] == ".../small_train.rec, pixels from 0 to 255"
    evaluate = ("evaluate", "mlp", "--params", str(tmp_path / "run" / "final.params"), "--data", test)
    out = run(*evaluate, "--pixels", "raw")
    assert f"test: {accuracy}" in out and "small_test.rec, pixels from 0 to 255" in out
    out = run("train", "mlp", "--data", f"{train},num_parts=2,part_index=1", "--holdout", "100", "--epochs", "1")
    assert "100 held out for validation" in out and "part 1 of 2" in out and "not tested" in out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "mlp", "--data", "rec:{rec},num_prts=2"], ["no option 'num_prts'", "num_parts"]),
        (["train", "mlp", "--data", "rec:{rec},num_parts=2,part_index=2"], ["there is no part 2 of 2"]),
        (["train", "mlp", "--data", "rec:{rec},num_parts=two"], ["num_parts must be a whole number, not 'two'"]),
        (["train", "mlp", "--data", "rec:"], ["it is not a file"]),
        (["train", "mlp", "--data", "rec:/nowhere.rec"], ["cannot read /nowhere.rec"]),
        (["train", "mlp", "--data", "rec:{rec}", "--validation", "{rec}"], ["is named as rec:FILE.rec"]),
        (["train", "mlp", "--holdout", "9", "--validation", "rec:{rec}"], ["either on held out images"]),
        (["pack", "{out}", "/nowhere"], ["/nowhere is not a folder"]),
        (["pack", "{out}", "{empty}"], ["holds no images (.jpeg, .jpg, .png)"]),
        (["pack", "{out}", "{empty}", "--images", "5"], ["--images is for MNIST itself"]),
        (["pack", "{out}", "--images", "60001"], ["--images must be 1 to 60000"]),
        (["pack", "{out}", "--train-ratio", "0.9", "--test-ratio", "0.2"], ["at most 1 together"]),
        (["pack", "{out}", "--quality", "101"], ["quality must be 1 to 100 for .jpg, not 101"]),
        (["pack", "{out}", "--quality", "95", "--encoding", ".png"], ["quality must be 1 to 9 for .png"]),
        (["pack", "{out}", "--threads", "0"], ["threads must be at least 1"]),
        (["pack", "/dev/null/x", "--images", "5"], ["cannot write into /dev/null"]),
        (["unpack", "setup.cfg", "{out}"], ["setup.cfg is not a RecordIO file"]),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(arguments: list, words: list, packed: Path, tmp_path: Path, capsys):
    (tmp_path / "empty").mkdir()
    places = {"rec": f"{packed}_train.rec", "out": tmp_path / "out", "empty": tmp_path / "empty"}
    code = main([argument.format(**places) for argument in arguments])
    assert_refused(subprocess.CompletedProcess(arguments, code, "", capsys.readouterr().err), *words)


def test_misspelt_options_and_files_that_do_not_fit_are_refused(packed: Path, tmp_path: Path):
    rec = f"{packed}_train.rec"
    assert mx.io.ImageRecordIter(path_imgrec=rec, data_shape=(1, 28, 28), batch_size=9, shufle=True, verbose=False)
    with pytest.raises(zoo.UnknownName, match="no option 'shufle': did you mean shuffle"):
        zoo.image_record_iter(rec, 100, shufle=True)
    with pytest.raises(zoo.ZooError, match="901 is larger than the 900 images"):
        zoo.image_record_iter(rec, 901)
    batch = next(zoo.image_record_iter(rec, 100, path_imglist=f"{packed}_train.lst", shuffle=True))
    assert batch.data[0].shape == (100, 1, 28, 28) and batch.data[0].max().asscalar() == 255
    with pytest.raises(zoo.DataError, match=r"small_test.idx does not fit .*: it must point once to each of its 900"):
        zoo.image_record_iter(rec, 100, path_imgidx=f"{packed}_test.idx")
    with pytest.raises(zoo.DataError, match=r"small_test.lst does not fit .*small_train.rec: it lacks record"):
        zoo.image_record_iter(rec, 100, path_imglist=f"{packed}_test.lst")
    for text in ("5\n", "x\t1.0\tpath\n", "1\tx\tpath\n", "1\t1.0\ta\n1\t1.0\tb\n"):
        (tmp_path / "x.lst").write_text(text)
        with pytest.raises(zoo.DataError, match=r"x.lst is damaged: line \d is not a unique index"):
            zoo.image_record_iter(rec, 100, path_imglist=tmp_path / "x.lst")
    with pytest.raises(zoo.ZooError, match="MXNet treats #, . and ; in paths as special"):
        zoo.image_record_iter(rec, 100, path_imglist=Path(f"{packed}_train.lst").rename(tmp_path / "#1.lst"))
    (tmp_path / "#1.lst").rename(f"{packed}_train.lst")
    other = tmp_path / "other.rec"
    other.write_bytes(Path(rec).read_bytes())
    (tmp_path / "other.idx").write_bytes(Path(f"{packed}_test.idx").read_bytes())
    with pytest.raises(zoo.DataError, match="other.idx does not fit"):
        zoo.load_records(other)


@pytest.mark.parametrize("size, label, words", [((28, 32), 1, "28×32 pixels"), ((28, 28), 10, "the label 10"),
                                                ((28, 28), 0.5, "the label 0.5")])  # fmt: skip
def test_records_that_are_no_digits_are_refused(size: tuple, label: float, words: str, tmp_path: Path):
    content = io.BytesIO()
    Image.new("L", size).save(content, "PNG")
    writer = mx.recordio.MXRecordIO(str(tmp_path / "x.rec"), "w")
    writer.write(mx.recordio.pack(mx.recordio.IRHeader(0, label, 7, 0), content.getvalue()))
    writer.close()
    with pytest.raises(zoo.DataError, match=rf"record 7 \(at byte 0\) .*{words}"):
        zoo.load_records(tmp_path / "x.rec")
