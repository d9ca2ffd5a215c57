"""``python -m bench``, ``python -m bench peers`` and ``python -m bench report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.console import run_command


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["peers"]:
        summary = "Do the same work here, in the CNN report's own loop, PyTorch, ONNX Runtime and OpenVINO, in turns."
        return run_command("bench.cli.peers", "python -m bench peers", summary, arguments[1:])
    if arguments[:1] == ["report"]:
        summary = "Make a page of plots and tables from result files and histories of training."
        return run_command("bench.cli.report", "python -m bench report", summary, arguments[1:])
    summary = "Measure training and inference of the zoo's models on this machine. 'python -m bench peers' compares,"
    summary += " 'python -m bench report' draws."
    return run_command("bench.cli.table", "python -m bench", summary, arguments)
