"""``python -m zoo.pretrained.add``, for those who maintain the package."""

from __future__ import annotations

import argparse
import sys

from zoo.cli.options import add_data, load_data, path
from zoo.console import run_command
from zoo.pretrained.manifest import FOLDER, params
from zoo.pretrained.publishing import Run, chosen, publish, together


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=path, metavar="RUNDIR",
        help="a directory that python -m zoo train --out wrote; the same model and settings, each with another seed",
    )  # fmt: skip
    parser.add_argument("--into", type=path, metavar="DIR", default=FOLDER, help="(default: the package itself)")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    runs = [Run.read(folder) for folder in arguments.runs]
    together(runs)
    best = chosen(runs)
    held_out = best.history.command.validation_images
    why = f"the best on {held_out:,} held-out images" if held_out else "the lowest, for no images were held out"
    print(f"{best.history.command.model}: seed {best.seed}, {why}", flush=True)
    entry = publish(runs, load_data(arguments.data).test, arguments.into)
    file = params(arguments.into, best.history.command.model)
    total = sum(each.stat().st_size for each in file.parent.iterdir())
    print(f"test: {entry.accuracy:.2%}, {entry.errors:,} errors; {entry.over_seeds}")
    print(f"{file}: {entry.bytes:,} bytes, SHA-256 {entry.sha256}; all weights: {total:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("zoo.pretrained.add", "python -m zoo.pretrained.add", "Put trained weights into the package."))
