"""``python -m export``: a trained model as files for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zoo.console import command_line


@command_line
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description="Write a trained model for other programs.")
    parser.add_argument("model", help="a name from python -m zoo list")
    parser.add_argument(
        "--params", metavar="FILE", required=True, help="its weights, as python -m zoo train --out writes them"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where to write")
    parser.add_argument("--epoch", type=int, default=0, help="number in the name of the .params file (default: 0)")
    arguments = parser.parse_args(argv)

    from export import to_symbol
    from zoo import files, models, weights

    net = models.get_model(arguments.model)
    weights.load_parameters(net, arguments.params)
    for path in to_symbol(net, arguments.out / arguments.model, arguments.epoch):
        content = path.read_bytes()
        print(f"{path}: {len(content):,} bytes, SHA-256 {files.hexdigest(content)}")
    return 0
