"""``python -m bench report``: results as a page."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from zoo.cli.options import path
from zoo.errors import ZooError
from zoo.io import files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files to read, and where the page and its plots go."""
    add = parser.add_argument
    add("files", nargs="+", type=path, metavar="FILE",
        help="what --json of python -m bench or of python -m bench peers wrote, a history.json of python -m zoo train, "
             "or a folder: of a run of training, or of results (--history)")  # fmt: skip
    add("--out", type=path, default=Path("report.html"), metavar="FILE", help="the page (default: report.html)")
    add("--plots", type=path, metavar="DIR", help="also write its plots as PNG files into DIR")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, and its plots if requested; raises if the files hold nothing to show."""
    from bench.report import inputs, page

    page.check()
    out = files.output_file(arguments.out)
    if os.path.realpath(out) in map(os.path.realpath, arguments.files):
        raise ZooError(f"{out} is one of the files to read: name another with --out")
    if arguments.plots:
        files.output_directory(arguments.plots)
    read = inputs.read(arguments.files)
    shown = page.sections(read)
    if not shown:
        raise ZooError("there is nothing to show in these files")
    pictures = page.pictures(shown)
    contents = {out: page.render(shown, pictures, read).encode()}
    if arguments.plots:
        for name, light, dark in pictures.values():
            contents |= {arguments.plots / f"{name}.png": light, arguments.plots / f"{name}-dark.png": dark}
    files.write_together(contents)
    print(f"{out}: {', '.join(section.title.lower() for section in shown)}")
    return 0
