"""``python -m bench``, ``python -m bench compare`` and ``python -m bench peers``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.console import run_command


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["peers"]:
        summary = "Do the same work here, in the CNN report's own loop, PyTorch, ONNX Runtime and OpenVINO, in turns."
        return run_command("bench.cli.peers", "python -m bench peers", summary, arguments[1:])
    if arguments[:1] == ["compare"]:
        summary = (
            "Say which of two revisions is faster, measured in turns on this machine, or which of two result files."
        )
        return run_command("bench.cli.compare", "python -m bench compare", summary, arguments[1:])
    summary = (
        "Measure training and inference of the zoo's models on this machine. 'python -m bench compare' compares "
        "revisions or result files, 'python -m bench peers' other libraries."
    )
    return run_command("bench.cli.table", "python -m bench", summary, arguments)
