"""``python -m zoo evaluate``"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from zoo import contexts, models, training, weights
from zoo.cli.options import add_images, add_model, load_images, path
from zoo.recipes import DTYPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_images(parser)
    parser.add_argument(
        "--params", metavar="FILE", type=path, required=True, help="its weights, as train --out writes them"
    )
    parser.add_argument("--batch-size", type=int, default=500, help="(default: 500)")
    parser.add_argument(
        "--dtype", choices=(*DTYPES, "int8"), default="float32",
        help="to compute in (default: float32); int8 is calibrated with up to 5,000 training images",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    net = models.get_model(arguments.model, ctx=arguments.ctx)
    digest = weights.load_parameters(net, arguments.params)
    train, test = load_images(arguments.data, arguments.pixels)
    test = test or train  # a .rec file is tested whole
    result = training.evaluate(net, test, batch_size=arguments.batch_size)
    print(f"{arguments.model} with {arguments.params} (SHA-256 {digest})")
    print(f"test: {result}, from {test.source}")
    if arguments.dtype != "float32":
        ctx = contexts.check(arguments.ctx)
        plain, calibration = result, train[-5000:]
        result = training.Predictor(net, test, ctx, arguments.batch_size, arguments.dtype, calibration).evaluate()
        agreement = (result.predictions == plain.predictions).mean()
        print(f"test in {arguments.dtype}: {result}; the same digit as in float32 for {agreement:.2%}")
    print()
    print("confusion matrix, a row for each digit, a column for each prediction")
    print(tabulate([(digit, *row) for digit, row in enumerate(result.confusion)], ("digit", *range(10))))
    return 0
