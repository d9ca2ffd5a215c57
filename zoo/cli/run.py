"""The command ``python -m zoo run``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from zoo.installation import script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.usage = "%(prog)s SCRIPT [ARGUMENT ...]"
    parser.add_argument(
        "script", type=Path,
        help="a Python script that imports mxnet, or the name of one of MXNet's own tools, such as im2rec.py",
    )  # fmt: skip
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="what the script is given")


def run(arguments: argparse.Namespace) -> int:
    """Replace this process with a new interpreter that runs the script; does not return on success."""
    path = script.find(arguments.script)
    sys.stdout.flush()
    # A new interpreter, so that the script inherits neither this command's modules nor its error handling.
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    command = [sys.executable, *options, *script.COMMAND, str(path), *arguments.arguments]
    places = filter(None, (str(script.SITE), os.environ.get("PYTHONPATH")))
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(places)})
