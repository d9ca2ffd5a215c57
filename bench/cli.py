"""``python -m bench``: the throughput table."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from bench import runner, tables
from bench.cells import DTYPES, EPOCH, PHASES, Cell, Outcome
from zoo import files
from zoo.cli.options import add_data, load_data
from zoo.console import FAILURE, INTERRUPTED, command_line
from zoo.errors import UnknownName, ZooError

_STARTUP = 6  # seconds that a cell takes besides measuring: importing, loading, warming up


@command_line
def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 if every cell was measured, 1 if some failed, 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    from bench import environment

    cells = _cells(arguments)
    if arguments.json:
        files.output_directory(arguments.json.parent)
    load_data(arguments.data)  # fetched once, and refused before anything is measured
    captured = environment.capture()
    outcomes, interrupted = _measure(cells, arguments)
    if outcomes:
        print(tables.render(outcomes, captured, arguments.format))
    if arguments.json and outcomes:
        files.write_text(arguments.json, json.dumps(tables.document(outcomes, captured), indent=1) + "\n")
    if interrupted:
        print(f"interrupted: {len(outcomes)} of {len(cells)} cells were measured", file=sys.stderr)
        return INTERRUPTED
    return FAILURE if any(outcome.error for outcome in outcomes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure training and inference of the zoo's models on this machine."
    )
    parser.add_argument(
        "--models", nargs="+", default=["mlp", "cnn7"], metavar="MODEL", help="names or patterns (default: mlp cnn7)"
    )
    parser.add_argument(
        "--contexts",
        nargs="+",
        metavar="CONTEXT",
        help="cpu, gpu(0), or several as one: 'cpu(0),cpu(1)' (default: every one that works here)",
    )
    parser.add_argument(
        "--batch-sizes", nargs="+", type=int, default=[1, 32, 200, 512], metavar="N", help="(default: 1 32 200 512)"
    )
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32"], help="(default: float32)")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES), help="(default: train infer)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="time to measure each cell for (default: 5)"
    )
    parser.add_argument(
        "--format",
        choices=tables.FORMATS,
        default="simple",
        metavar="FORMAT",
        help="any of tabulate's (github, plain, …), csv or json (default: simple)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write raw samples and environment to FILE")
    add_data(parser)
    return parser


def _cells(arguments: argparse.Namespace) -> list[Cell]:
    """Every combination asked for; raises where one of its parts does not exist or is impossible."""
    from zoo import contexts, models
    from zoo.architectures import MODELS

    if not 0 < arguments.seconds <= 3600:
        raise ZooError(f"--seconds must be above 0 and at most 3600, not {arguments.seconds:g}")
    for size in arguments.batch_sizes:
        if not 1 <= size <= EPOCH:
            raise ZooError(f"a batch has at least 1 and at most {EPOCH:,} images, not {size:,}")
    names = [name for pattern in arguments.models for name in models.list_models(pattern) or [MODELS[pattern].name]]
    asked = arguments.contexts or [str(context) for context in contexts.usable()]
    places = [(",".join(map(str, parsed)), len(parsed)) for parsed in map(contexts.parse, asked)]
    for place, ways in places:
        if min(arguments.batch_sizes) < ways:
            raise UnknownName(
                f"a batch of {min(arguments.batch_sizes)} cannot be shared by the {ways} contexts {place}"
            )
    combinations = itertools.product(
        names, [place for place, _ in places], arguments.dtypes, arguments.batch_sizes, arguments.phases
    )
    return list(dict.fromkeys(Cell(*combination) for combination in combinations))


def _measure(cells: list[Cell], arguments: argparse.Namespace) -> tuple[list[Outcome], bool]:
    """The outcomes, in order, and whether Ctrl-C cut them short."""
    outcomes: list[Outcome] = []
    expected = len(cells) * (_STARTUP + arguments.seconds)
    print(f"measuring {len(cells)} cells, about {expected / 60:.0f} min", file=sys.stderr)
    with tqdm(total=len(cells), unit="cell", leave=False, disable=None, dynamic_ncols=True) as bar:
        results = runner.run(cells, arguments.data, arguments.seconds)
        try:
            for cell in cells:
                bar.set_description_str(str(cell))
                outcomes.append(next(results))
                bar.update()
        except KeyboardInterrupt:
            return outcomes, True
    return outcomes, False
