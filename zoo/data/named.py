"""Load data by the name given to ``--data``: a folder, ``rec:FILE.rec`` or "synthetic"."""

from __future__ import annotations

from zoo.data.mnist import MNIST, Dataset, load_mnist, synthetic
from zoo.errors import UnknownName, ZooError
from zoo.registry import suggestion

_RECORDS = "rec:"
_RECORD_OPTIONS = ("num_parts", "part_index")


def load_data(name: str | None) -> MNIST:
    """MNIST from the folder ``name`` (None: ``MNIST_DIR`` or the cache), or random images if it is "synthetic"."""
    return synthetic() if name == "synthetic" else load_mnist(name)


def load_images(name: str | None, pixels: str) -> tuple[Dataset, Dataset | None]:
    """Training and test images; the images of a ``.rec`` file are all training images, with None to test on."""
    if name is not None and name.startswith(_RECORDS):
        return load_rec(name, pixels), None
    mnist = load_data(name)
    return (mnist.train.raw(), mnist.test.raw()) if pixels == "raw" else (mnist.train, mnist.test)


def load_rec(name: str, pixels: str) -> Dataset:
    """The images of ``rec:FILE.rec``, with options after it such as ``,num_parts=4,part_index=0``."""
    if not name.startswith(_RECORDS):
        raise ZooError(f"a .rec file is named as rec:FILE.rec, not as {name}")
    from zoo.data.records import load_records  # imports MXNet

    file, *given = name[len(_RECORDS) :].split(",")
    options = {}
    for each in given:
        option, _, value = each.partition("=")
        if option not in _RECORD_OPTIONS:
            raise UnknownName(f"a .rec file has no option {option!r}: {suggestion(option, _RECORD_OPTIONS)}")
        if not value.isdecimal():
            raise ZooError(f"{option} must be a whole number, not {value!r}")
        options[option] = int(value)
    records = load_records(file, **options)
    return records.raw() if pixels == "raw" else records
