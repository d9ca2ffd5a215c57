"""The command ``python -m zoo pack``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.options import add_data, path
from zoo.console import FAILURE
from zoo.data.images import QUALITIES
from zoo.data.listing import EXTENSIONS
from zoo.errors import DataError, ZooError

if TYPE_CHECKING:
    from zoo.data import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("prefix", type=path, help="what the .lst, .rec and .idx files are called, such as data/mnist")
    parser.add_argument(
        "root", nargs="?", type=path,
        help=f"folder of class folders with images ({', '.join(EXTENSIONS)}); without it, MNIST itself",
    )  # fmt: skip
    add_data(parser)
    parser.add_argument(
        "--part", choices=("train", "test"), help="of MNIST: its training images (default) or its test images"
    )
    parser.add_argument("--images", type=int, metavar="N", help="of MNIST: the first N images of the part")
    parser.add_argument(
        "--train-ratio", type=float, default=1.0, help="share of images in PREFIX_train (default: 1, all in PREFIX)"
    )
    parser.add_argument(
        "--test-ratio", type=float, default=0.0, help="in PREFIX_test (default: 0); what is left is in PREFIX_val"
    )
    parser.add_argument(
        "--color", type=int, choices=(-1, 0, 1), default=0, help="0: grey (default), 1: colored, -1: as the images are"
    )
    parser.add_argument("--encoding", choices=list(QUALITIES), default=".jpg", help="(default: .jpg)")
    parser.add_argument("--quality", type=int, help="of .jpg 1 to 100 (default: 95), of .png its compression, 1 to 9")
    parser.add_argument(
        "--threads", type=int, help="processes that decode and encode (default: up to 4, by the CPUs and the images)"
    )
    parser.add_argument("--seed", type=int, default=100, help="of the order (default: 100, the one of im2rec.py)")
    parser.add_argument(
        "--no-shuffle", action="store_const", const=None, dest="seed", help="keep the images sorted by class and name"
    )


def run(arguments: argparse.Namespace) -> int:
    """Pack the images and print the files; returns 1 if some images could not be read."""
    from zoo.data.packing import pack

    given = {name for name in ("data", "part", "images") if getattr(arguments, name) is not None}
    if arguments.root is not None and given:
        raise ZooError(f"--{given.pop()} is for MNIST itself, and here the images are those in {arguments.root}")
    settings = {
        name: getattr(arguments, name)
        for name in ("train_ratio", "test_ratio", "color", "quality", "encoding", "threads", "seed")
    }
    packed = pack(arguments.prefix, arguments.root or _mnist(arguments), **settings)
    if any(name != f"{label:g}" for name, label in packed.classes):
        print(f"labels: {', '.join(f'{name} is {label:g}' for name, label in packed.classes)}")
    for rec, images in packed.parts:
        print(f"{rec}: {images:,} images{_decoded(rec)}", flush=True)
    if packed.ignored:
        print(f"other files, not called {', '.join(EXTENSIONS)}: {packed.ignored:,}")
    for name, reason in packed.unreadable:
        print(f"unreadable: {name} ({reason})", file=sys.stderr)
    print(f"{packed.found:,} images found, {packed.found - len(packed.unreadable):,} packed, "
          f"{len(packed.unreadable):,} unreadable")  # fmt: skip
    return FAILURE if packed.unreadable else 0


def _decoded(rec: Path) -> str:
    """Decode ``rec`` into the cache, to save the first training run the wait; says so, if it holds digits."""
    from zoo.data.records import decode_ahead

    try:
        is_kept = decode_ahead(rec)
    except DataError:  # not 28×28 digits with labels from 0 to 9
        return ""
    return ", decoded into the cache" if is_kept else ", which the cache cannot keep decoded"


def _mnist(arguments: argparse.Namespace) -> Dataset:
    from zoo.data.named import load_data

    dataset: Dataset = getattr(load_data(arguments.data), arguments.part or "train")
    images = len(dataset) if arguments.images is None else arguments.images
    if not 0 < images <= len(dataset):
        raise ZooError(f"--images must be 1 to {len(dataset)}, not {images}")
    return dataset[:images]
