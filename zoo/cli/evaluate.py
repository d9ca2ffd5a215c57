"""``python -m zoo evaluate``"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from zoo import models, training, weights
from zoo.cli.options import add_data, add_model, load_data, path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser)
    parser.add_argument(
        "--params", metavar="FILE", type=path, required=True, help="its weights, as train --out writes them"
    )
    parser.add_argument("--batch-size", type=int, default=500, help="(default: 500)")


def run(arguments: argparse.Namespace) -> int:
    net = models.get_model(arguments.model, ctx=arguments.ctx)
    digest = weights.load_parameters(net, arguments.params)
    test = load_data(arguments.data).test
    result = training.evaluate(net, test, batch_size=arguments.batch_size)
    print(f"{arguments.model} with {arguments.params} (SHA-256 {digest})")
    print(f"test: {result}, from {test.source}\n")
    print("confusion matrix, a row for each digit, a column for each prediction")
    print(tabulate([(digit, *row) for digit, row in enumerate(result.confusion)], ("digit", *range(10))))
    return 0
