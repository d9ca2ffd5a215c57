"""``python -m zoo fetch``"""

from __future__ import annotations

import argparse

from zoo.cli.options import path
from zoo.data import fetch
from zoo.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=path, help="a folder instead of the cache")


def run(arguments: argparse.Namespace) -> int:
    folder = arguments.out or fetch.cache()
    if arguments.out:
        foreign = [name for name in fetch.FILES if fetch.find(folder, name) and not fetch.canonical(folder, name)]
        if foreign:
            raise DataError(f"{folder} has another {foreign[0]}, which would be overwritten: name another folder")
    fetch.ensure(folder)
    print(f"MNIST is in {folder}")
    return 0
