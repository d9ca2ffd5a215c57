"""The command ``python -m zoo fetch``."""

from __future__ import annotations

import argparse

from zoo.cli.options import path
from zoo.data import fetch
from zoo.data.catalogue import DATASETS
from zoo.errors import DataError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "name", nargs="?", choices=DATASETS, default="mnist", metavar="NAME",
        help=f"{' or '.join(DATASETS)} (default: mnist)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", type=path, help="a folder instead of the cache")


def run(arguments: argparse.Namespace) -> int:
    """Fetch the missing files and print the folder; raises :class:`DataError` if ``--out`` holds other data."""
    dataset = DATASETS[arguments.name]
    folder = arguments.out or fetch.cache(dataset)
    if arguments.out:
        for name in dataset.sha256:
            if fetch.find(folder, name) and not fetch.canonical(dataset, folder, name):
                raise DataError(f"{folder} has another {name}, which would be overwritten: name another folder")
    fetch.ensure(dataset, folder)
    print(f"{dataset.title} is in {folder}")
    return 0
