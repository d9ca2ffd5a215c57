"""``python -m bench``, and its commands ``python -m bench COMMAND``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.console import run_command

COMMANDS = {
    "compare": "Say which of two revisions is faster, measured in turns on this machine, or which of two result files.",
    "peers": "Do the same work here, in the CNN report's own loop, PyTorch, ONNX Runtime and OpenVINO, in turns.",
    "report": "Make a page of plots and tables from result files and histories of training.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named first, or measure the table if there is none; returns the exit code."""
    name, *rest = list(sys.argv[1:] if argv is None else argv) or [""]
    if name in COMMANDS:
        return run_command(f"bench.cli.{name}", f"python -m bench {name}", COMMANDS[name], rest)
    summary = (
        "Measure training and inference of the zoo's models on this machine. 'python -m bench compare' compares "
        "revisions or result files, 'python -m bench peers' other libraries, 'python -m bench report' shows results "
        "as a page."
    )
    return run_command("bench.cli.table", "python -m bench", summary, argv)
