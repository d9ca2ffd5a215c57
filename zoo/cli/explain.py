"""The command ``python -m zoo explain``."""

from __future__ import annotations

import argparse
from textwrap import fill

from tabulate import tabulate

from zoo.cli.options import add_model
from zoo.runtime.dtypes import DTYPES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_model(parser)
    parser.add_argument(
        "--phase", choices=("train", "infer"), default="train", help="training, or inference (default: train)"
    )
    parser.add_argument("--dtype", choices=("auto", *DTYPES), default="auto", help="default: auto, the faster one here")


def run(arguments: argparse.Namespace) -> int:
    """Print what computes each layer and, where a layer is left to MXNet, why."""
    from zoo import models
    from zoo.graph.execution import Execution
    from zoo.graph.explanation import explain
    from zoo.runtime import contexts

    ctx = contexts.check(arguments.ctx)
    net = models.get_model(arguments.model, ctx=ctx)
    execution = Execution.of(net, ctx, arguments.dtype)
    found = explain(net, execution, arguments.phase)
    print(f"{arguments.model}, {arguments.phase}: {execution}\n")
    rows = [(fill(" ".join(row.layers), 60), row.operator or "nothing", row.dtype, row.reason) for row in found.rows]
    print(tabulate(rows, ("layers", "computed by", "dtype", "left as it is, because"), disable_numparse=True))
    if found.remarks:
        print("", *found.remarks, sep="\n")
    return 0
