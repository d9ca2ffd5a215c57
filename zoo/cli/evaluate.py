"""The command ``python -m zoo evaluate``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tabulate import tabulate

from zoo.cli.options import add_images, add_model, add_params, load_network, path
from zoo.errors import ZooError
from zoo.progress import progress_bar
from zoo.runtime.dtypes import INFERENCE_DTYPES

if TYPE_CHECKING:
    from zoo import training
    from zoo.data import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_model(parser)
    add_params(parser)
    add_images(parser)
    parser.add_argument("--batch-size", type=int, default=500, help="(default: 500)")
    parser.add_argument(
        "--dtype", choices=INFERENCE_DTYPES, default="float32",
        help="to compute in (default: float32); bfloat16 on CPUs, float16 on GPUs; int8 is calibrated with up to 5,000 "
        "training images",
    )  # fmt: skip
    parser.add_argument(
        "--corruptions", action="store_true", help="test on images shifted, turned, noisy, blurred, pale, hidden, too"
    )
    parser.add_argument(
        "--misclassified", metavar="FILE", type=path, help="draw the misclassified digits, as .png or .pdf"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the accuracy, the confusion matrix and whatever else the options ask for."""
    from zoo import training
    from zoo.cli import plots
    from zoo.data.corruptions import CORRUPTIONS, corrupt
    from zoo.data.named import load_images
    from zoo.graph import execution
    from zoo.runtime import contexts

    picture = plots.output(arguments.misclassified) if arguments.misclassified else None
    if picture is not None and plots.missing():
        raise ZooError(plots.missing())
    net, origin = load_network(arguments.model, arguments.params, arguments.ctx)
    train, test = load_images(arguments.data, arguments.pixels)
    test = test or train  # a .rec file has no test set: test on all of it
    ctx = contexts.check(arguments.ctx)
    execution.check(arguments.dtype, ctx)  # fail early if the dtype does not work here

    def evaluate(dataset: Dataset, dtype: str = arguments.dtype, what: str = "evaluating") -> training.Evaluation:
        calibration = train[-5000:] if dtype == "int8" else None
        predictor = training.Predictor(net, dataset, ctx, arguments.batch_size, dtype, calibration)
        with progress_bar(total=len(dataset), unit="img", desc=what, delay=1) as bar:
            return predictor.evaluate(bar.update)

    result = plain = evaluate(test, "float32")
    print(f"{arguments.model} with {origin}")
    print(f"test: {result}, from {test.source}")
    if arguments.dtype != "float32":
        result = evaluate(test)
        agreement = (result.predictions == plain.predictions).mean()
        print(f"test in {arguments.dtype}: {result}; the same digit as in float32 for {agreement:.2%}")
    print("\nconfusion matrix, a row for each digit, a column for each prediction")
    print(tabulate([(digit, *row) for digit, row in enumerate(result.confusion)], ("digit", *range(10))))
    if arguments.corruptions:
        results = {"clean": result, **{name: evaluate(corrupt(test, name), what=name) for name in CORRUPTIONS}}
        print(f"\n{_corruptions(results)}")
    if picture is not None:
        shown = plots.misclassified(result, test.images, arguments.model, picture)
        print(f"\nmisclassified: {picture} ({shown:,} of {result.errors:,}, the most confident first)")
    return 0


def _corruptions(results: dict[str, training.Evaluation]) -> str:
    from zoo.data.corruptions import CORRUPTIONS

    rows = [
        (
            name,
            f"{result.accuracy:.2%}",
            f"{result.errors:,}",
            f"{100 * (result.accuracy - results['clean'].accuracy):+.2f}",
            CORRUPTIONS[name].summary if name in CORRUPTIONS else "as they are",
        )
        for name, result in results.items()
    ]
    return tabulate(
        rows, ("test images", "accuracy", "errors", "change [points]", "what"),
        disable_numparse=True, colalign=("left", "right", "right", "right", "left"),
    )  # fmt: skip
