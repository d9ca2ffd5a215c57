"""``python -m bench peers``: the same training, elsewhere."""

from __future__ import annotations

import argparse
import sys

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from bench import environment
from bench.peers.comparison import Comparison, compare
from zoo.cli.options import add_data, load_data
from zoo.errors import ZooError

_BATCH_SIZE = 200  # the report's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="of each side (default: 9)")
    parser.add_argument("--batches", type=int, default=5, help=f"of {_BATCH_SIZE} images in a round (default: 5)")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.rounds < 5 or arguments.batches < 1:
        raise ZooError("a comparison takes at least 5 rounds of at least 1 batch")
    source = load_data(arguments.data).source
    captured = environment.capture()
    request = {"model": "cnn7", "batch_size": _BATCH_SIZE, "data": arguments.data}
    rounds = compare("bench.peers.report_loop", request, arguments.batches, arguments.rounds)
    print(f"comparing over {arguments.rounds} rounds of {arguments.batches} batches", file=sys.stderr)
    for comparison in tqdm(rounds, total=arguments.rounds, unit="round", leave=False, disable=None):
        result = comparison
    print(_table(result), environment.summary(captured, source), sep="\n\n")
    return 0


def _table(result: Comparison) -> str:
    low, high = result.interval()
    row = (
        f"train cnn7, batch {_BATCH_SIZE}",
        "the report's loop, default MXNet",
        f"{np.median(result.ours):,.0f}",
        f"{np.median(result.theirs):,.0f}",
        f"{np.median(result.ratios):.2f}×",
        f"{low:.2f} to {high:.2f}",
    )
    headers = ("work", "against", "images/s here", "there", "ratio", "95% interval")
    return tabulate([row], headers, disable_numparse=True, colalign=("left", "left", "right", "right", "right", "left"))
