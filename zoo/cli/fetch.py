"""``python -m zoo fetch``"""

from __future__ import annotations

import argparse
from pathlib import Path

from zoo.data import fetch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, help="a folder instead of the cache")


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.out or fetch.cache()
    fetch.ensure(folder)
    print(f"MNIST is in {folder}")
    return 0
