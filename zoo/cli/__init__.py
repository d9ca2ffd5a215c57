"""The command line ``python -m zoo COMMAND``; each command is a module here, imported only when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from zoo import __version__
from zoo.console import run_command

COMMANDS = {
    "setup": "install MXNet into this environment, and make a bare 'import mxnet' work in it",
    "list": "list the models with their accuracy and cost, or the layers of some",
    "card": "show all that is known of a model and its pretrained weights",
    "train": "train a model with the settings of its source, or with others",
    "explain": "show what computes each layer of a model here, and why some layers are left to MXNet",
    "evaluate": "test trained weights: accuracy, confusion matrix, hard images",
    "fetch": "get MNIST or Fashion-MNIST into the cache, or into a folder",
    "pack": "make RecordIO files of images in class folders, or of MNIST",
    "unpack": "get the images of a RecordIO file into class folders",
    "lr-find": "try out learning rates for a model, and suggest one",
    "reproduce": "run a published experiment, and print its figures beside those of the source",
    "run": "run a script that was written for MXNet, unmodified",
    "doctor": "show what was found on this machine and decided for it",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` (default: ``sys.argv[1:]``) begins with and return its exit code."""
    name, *rest = [*(sys.argv[1:] if argv is None else argv)] or [""]  # not list(): importing zoo.cli.list shadows it
    if name not in COMMANDS:
        _overview().parse_args([name] if name else [])  # exits: help, version or a usage error
    return run_command(
        f"zoo.cli.{name.replace('-', '_')}",
        f"python -m zoo {name}",
        f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.",
        rest,
    )


def _overview() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zoo", description="MNIST model zoo for Apache MXNet.")
    parser.add_argument("--version", action="version", version=f"mxnet-mnist-zoo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser
