"""The command ``python -m zoo reproduce``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from zoo.cli.options import add_data, path
from zoo.errors import ZooError
from zoo.io import files, temporary
from zoo.progress import say

if TYPE_CHECKING:
    from zoo import training
    from zoo.cli import reproductions

_EXPERIMENTS = {
    "mlp-learning-rates": "the notebook: mlp with three learning rates on 42,000 JPGs, raw and scaled",
    "cnn7": "the report: cnn7, hypothesis 7, validated on the test images",
}
_CNN7_EPOCHS = 13


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    described = "; ".join(f"{name}: {what}" for name, what in _EXPERIMENTS.items())
    parser.add_argument("experiment", choices=list(_EXPERIMENTS), help=described)
    add_data(parser)
    parser.add_argument("--ctx", help="cpu, gpu(0), or several: 'gpu(0),gpu(1)' (default: cpu)")
    parser.add_argument(
        "--epochs", type=int, metavar="N",
        help=f"of cnn7 (default: {_CNN7_EPOCHS}), and at most that many of the notebook's 10, 10 and 25",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and shuffling (default: 0)")
    parser.add_argument("--out", metavar="DIR", type=path, help="keep the .rec files of mlp, the weights of cnn7")
    parser.add_argument("--plot", metavar="FILE", type=path, help="(default: EXPERIMENT.png)")


def run(arguments: argparse.Namespace) -> int:
    """Run the experiment; print and plot its accuracies beside those of the source."""
    if arguments.epochs is not None and arguments.epochs < 1:
        raise ZooError(f"--epochs must be at least 1, not {arguments.epochs}")
    from zoo.cli import plots, reproductions
    from zoo.data.named import load_data
    from zoo.runtime import contexts

    plot = plots.output(arguments.plot or Path(f"{arguments.experiment}.png"))
    ctx = contexts.check(arguments.ctx)
    mnist = load_data(arguments.data)
    print(f"{_EXPERIMENTS[arguments.experiment]}; from {mnist.source}\n", flush=True)
    runs = []
    if arguments.experiment == "cnn7":
        done = reproductions.cnn7(
            mnist, arguments.epochs or _CNN7_EPOCHS, arguments.seed, ctx, arguments.out, on_epoch=_show
        )
        _print(done)
        runs.append(done)
    else:
        images = mnist.train[: reproductions.NOTEBOOK_IMAGES]
        with _folder(arguments.out) as folder:
            for done in reproductions.mlp_learning_rates(images, folder, arguments.epochs, arguments.seed, ctx):
                _print(done)
                runs.append(done)
    problem = plots.missing()
    if problem is None:
        plots.curves(reproductions.panels(runs), plot)
    print(problem or f"plot: {plot}")
    return 0


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield files.output_directory(out)
        return
    with temporary.folder() as folder:
        yield folder


def _show(record: training.EpochRecord) -> None:
    say(f"{record}, {record.seconds:.1f} s")


def _print(run: reproductions.Reproduction) -> None:
    columns = {
        "train, published": run.published.train,
        "train, measured": [record.train_accuracy for record in run.records],
        "validation, published": run.published.validation,
        "validation, measured": run.validation,
    }
    shown = {name: values for name, values in columns.items() if values}
    length = len(run.records)
    rows = [
        (epoch, *("" if value is None else f"{value:.4f}" for value in values))
        for epoch, values in enumerate(zip_longest(*(list(values)[:length] for values in shown.values())), start=1)
    ]
    print(f"{run.group}, {run.name}" if run.name not in run.group else run.group)
    print(tabulate(rows, ("epoch", *shown), disable_numparse=True, colalign=("right",) * (1 + len(shown))))
    if run.remark:
        print(run.remark)
    print(flush=True)
