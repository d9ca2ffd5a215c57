"""``python -m zoo run``"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from zoo.installation import script


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s SCRIPT [ARGUMENT ...]"
    parser.add_argument(
        "script", type=Path,
        help="a Python script that imports mxnet, or the name of one of MXNet's own tools, such as im2rec.py",
    )  # fmt: skip
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="what the script is given")


def run(arguments: argparse.Namespace) -> int:
    path = script.find(arguments.script)
    sys.stdout.flush()
    # A new interpreter, so that nothing of this command is left in it: neither its modules nor what it does on errors.
    options = subprocess._args_from_interpreter_flags()  # as multiprocessing passes them on
    command = [sys.executable, *options, *script.COMMAND, str(path), *arguments.arguments]
    places = filter(None, (str(script.SITE), os.environ.get("PYTHONPATH")))
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": os.pathsep.join(places)})
