"""``python -m zoo.publishing.add``: publish trained weights, for maintainers of the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.options import add_data, path
from zoo.console import run_command
from zoo.data.named import load_data
from zoo.models.pretrained.manifest import FOLDER, Pretrained, params

if TYPE_CHECKING:
    from zoo.data import Dataset
    from zoo.publishing.entries import TrainingRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "runs", nargs="+", type=path, metavar="RUNDIR",
        help="a directory that python -m zoo train --out wrote; the same model and settings, each with another seed",
    )  # fmt: skip
    parser.add_argument(
        "--ensemble", action="store_true", help="make the model ensemble of the runs, instead of choosing one of them"
    )
    parser.add_argument(
        "--into", type=path, metavar="DIR", default=FOLDER,
        help="directory to write to (default: the package itself)",
    )  # fmt: skip
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Test the runs again, write weights and entry, and print a summary."""
    from zoo.publishing import combining
    from zoo.publishing.entries import TrainingRun

    runs = [TrainingRun.read(folder) for folder in arguments.runs]
    mnist = load_data(arguments.data)
    if arguments.ensemble:
        name, entry = combining.NAME, combining.combine(runs, mnist, arguments.into)
    else:
        name, entry = _publish_one(runs, mnist.test, arguments.into)
    file = params(arguments.into, name)
    total = sum(each.stat().st_size for each in file.parent.iterdir())
    print(f"test: {entry.accuracy:.2%}, {entry.errors:,} errors; {entry.over_seeds}")
    print(f"{file}: {entry.bytes:,} bytes, SHA-256 {entry.sha256}; all weights: {total:,} bytes")
    return 0


def _publish_one(runs: list[TrainingRun], test: Dataset, folder: Path) -> tuple[str, Pretrained]:
    from zoo.publishing.entries import chosen, publish, together

    together(runs)
    best = chosen(runs)
    name, held_out = best.command.model, best.command.validation_images
    why = f"the best on {held_out:,} held-out images" if held_out else "the lowest, for no images were held out"
    print(f"{name}: seed {best.seed}, {why}", flush=True)
    return name, publish(runs, test, folder)


if __name__ == "__main__":
    sys.exit(run_command("zoo.publishing.add", "python -m zoo.publishing.add", "Put trained weights into the package."))
