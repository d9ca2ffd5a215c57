"""The command ``python -m zoo lr-find``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from tabulate import tabulate

from zoo.cli.options import add_images, add_model, path
from zoo.models.architectures import MODELS

_SHOWN = 12  # rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_model(parser)
    add_images(parser)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--lowest", type=float, default=1e-6, help="learning rate to start with (default: 1e-6)")
    parser.add_argument("--highest", type=float, default=10.0, help="and to end with at the latest (default: 10)")
    parser.add_argument("--steps", type=int, default=200, help="batches to train on (default: 200)")
    parser.add_argument("--plot", metavar="FILE", type=path, help="(default: lr-find-MODEL.png)")


def run(arguments: argparse.Namespace) -> int:
    """Train with rising learning rates; print and plot the loss, and suggest a rate."""
    from zoo import models, training
    from zoo.cli import plots
    from zoo.data.named import load_images
    from zoo.runtime import contexts

    recipe = MODELS[arguments.model].recipe
    given = {name: getattr(arguments, name) for name in ("batch_size", "seed") if getattr(arguments, name) is not None}
    recipe = replace(recipe, **given)
    plot = plots.output(arguments.plot or Path(f"lr-find-{arguments.model}.png"))
    ctx = contexts.check(arguments.ctx)
    train, _ = load_images(arguments.data, arguments.pixels)
    net = models.get_model(arguments.model, ctx=ctx, seed=recipe.seed)
    test = training.lr_find(net, train, recipe, ctx, arguments.lowest, arguments.highest, arguments.steps)
    rows = list(zip(test.rates, test.smoothed))
    print(f"{arguments.model}, {recipe.optimizer}, batch {recipe.batch_size}, on {train.source}\n")
    print(tabulate(rows[:: max(1, len(rows) // _SHOWN)], ("learning rate", "loss"), floatfmt=(".2g", ".4f")))
    print(f"\nsuggested learning rate: {test.suggestion:.2g}")
    problem = plots.missing()
    if problem is None:
        plots.learning_rates(test, f"{arguments.model}, batch {recipe.batch_size}", plot)
    print(problem or f"plot: {plot}")
    return 0
