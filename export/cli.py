"""``python -m export``: a trained model as files for other programs."""

from __future__ import annotations

import argparse

from export.symbol import to_symbol
from zoo import files, models, weights
from zoo.cli.options import path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a name from python -m zoo list")
    parser.add_argument(
        "--params", metavar="FILE", type=path, required=True, help="its weights, as python -m zoo train writes them"
    )
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="where to write")
    parser.add_argument("--epoch", type=int, default=0, help="number in the name of the .params file (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    net = models.get_model(arguments.model)
    weights.load_parameters(net, arguments.params)
    for written in to_symbol(net, arguments.out / arguments.model, arguments.epoch):
        content = written.read_bytes()
        print(f"{written}: {len(content):,} bytes, SHA-256 {files.hexdigest(content)}")
    return 0
