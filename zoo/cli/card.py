"""The command ``python -m zoo card``."""

from __future__ import annotations

import argparse

from zoo.cli.options import model
from zoo.models.lookup import get_card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("model", type=model, help="a name from python -m zoo list")


def run(arguments: argparse.Namespace) -> int:
    """Print the card of the model."""
    print(get_card(arguments.model))
    return 0
