"""``python -m zoo COMMAND``: each command is a module here, imported when it is asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from zoo.console import command_line

COMMANDS = {
    "list": "list the models, or the layers of some",
    "train": "train a model with the settings of its source, or with others",
    "evaluate": "test trained weights: accuracy and confusion matrix",
    "fetch": "get MNIST into the cache, or into a folder",
    "doctor": "show what was found on this machine and decided for it",
}


@command_line
def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        _overview().parse_args(arguments)
        return 0
    name, *rest = arguments
    command = import_module(f"zoo.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m zoo {name}", description=f"{COMMANDS[name].capitalize()}.")
    command.add_arguments(parser)
    return command.run(parser.parse_args(rest))


def _overview() -> argparse.ArgumentParser:
    """Answers ``--help``, and whatever is no command."""
    parser = argparse.ArgumentParser(prog="python -m zoo", description="MNIST model zoo for Apache MXNet.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser
