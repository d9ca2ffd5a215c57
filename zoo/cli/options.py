"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.data import MNIST, load_mnist, synthetic


def path(text: str) -> Path:
    """An argument's type: a path, and not the empty string that an unset variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def add_data(parser: argparse.ArgumentParser) -> None:
    """``--data``; :func:`load_data` is its other half."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=lambda text: str(path(text)),
        help="folder with the four IDX files, or 'synthetic' (default: MNIST_DIR, or the cache)",
    )


def load_data(name: str | None) -> MNIST:
    return synthetic() if name == "synthetic" else load_mnist(name)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a name from python -m zoo list")
    parser.add_argument("--ctx", help="cpu, gpu(0), or several: 'gpu(0),gpu(1)' (default: cpu)")
