"""The command ``python -m zoo unpack``."""

from __future__ import annotations

import argparse

from zoo.cli.options import path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("rec", type=path, help="the .rec file")
    parser.add_argument("out", type=path, help="a new or empty folder: images go to OUT/LABEL/INDEX.jpg or .png")


def run(arguments: argparse.Namespace) -> int:
    """Unpack the images and print their number."""
    from zoo.data.packing import unpack

    print(f"{unpack(arguments.rec, arguments.out):,} images unpacked into {arguments.out}")
    return 0
