"""The layers of all models, computed for the package: ``python -m zoo.publishing.costs``."""

from __future__ import annotations

import sys

from zoo.console import run_command
from zoo.io import files
from zoo.models import MODELS, costs


def add_arguments(_) -> None:
    """It takes none."""


def run(_) -> int:
    content, path = costs.encode(costs.PACKAGE), costs.PACKAGE / costs.FILE
    files.write_together({path: content})
    print(f"{path}: {len(MODELS.names())} models, {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    prog = "python -m zoo.publishing.costs"
    sys.exit(run_command("zoo.publishing.costs", prog, "Compute the layers of all models for the package."))
