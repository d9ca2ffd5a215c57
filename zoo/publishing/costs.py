"""``python -m zoo.publishing.costs``: compute the layers of all models for the package."""

from __future__ import annotations

import argparse
import sys

from zoo.console import run_command
from zoo.io import files
from zoo.models import MODELS, costs


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare no options; the command takes none."""


def run(_: argparse.Namespace) -> int:
    """Write ``costs.json`` into the package and print its size in bytes."""
    content, path = costs.encode(costs.PACKAGE), costs.PACKAGE / costs.FILE
    files.write_together({path: content})
    print(f"{path}: {len(MODELS.names())} models, {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    prog = "python -m zoo.publishing.costs"
    sys.exit(run_command("zoo.publishing.costs", prog, "Compute the layers of all models for the package."))
