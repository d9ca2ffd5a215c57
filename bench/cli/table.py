"""``python -m bench``: the throughput table."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator

from tqdm import tqdm

from bench import environment, runner, tables
from bench.cells import DTYPES, PHASES, Cell, Outcome
from zoo import contexts, files, models
from zoo.architectures import MODELS
from zoo.cli.options import add_data, load_data, path
from zoo.console import FAILURE, INTERRUPTED
from zoo.errors import UnknownName, ZooError

_STARTUP = 6  # seconds that a cell takes besides measuring: importing, loading, warming up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models", nargs="+", default=["mlp", "cnn7"], metavar="MODEL", help="names or patterns (default: mlp cnn7)")
    add("--contexts", nargs="+", metavar="CONTEXT",
        help="cpu, gpu(0), or several as one: 'cpu(0),cpu(1)' (default: every one that works here)")  # fmt: skip
    add("--batch-sizes", nargs="+", type=int, default=[1, 32, 200, 512], metavar="N", help="(default: 1 32 200 512)")
    add("--dtypes", nargs="+", choices=DTYPES, default=["float32"], help="(default: float32)")
    add("--phases", nargs="+", choices=PHASES, default=list(PHASES), help="(default: train infer)")
    add("--seconds", type=float, default=5.0, metavar="S", help="time to measure each cell for (default: 5)")
    add("--format", choices=tables.FORMATS, default="simple", metavar="FORMAT",
        help="any of tabulate's (github, plain, …), csv or json (default: simple)")  # fmt: skip
    add("--json", type=path, metavar="FILE", help="also write raw samples and environment to FILE")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 0 if every cell was measured, 1 if some failed, 130 after Ctrl-C."""
    if arguments.json:
        files.output_file(arguments.json)
    train = load_data(arguments.data).train  # fetched once, and refused before anything is measured
    cells = _cells(arguments, len(train))
    captured = environment.capture()
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        for outcome in _measured(cells, arguments):
            outcomes.append(outcome)
            if arguments.json:  # after every cell: what was measured should survive whatever comes
                files.write_text(arguments.json, json.dumps(tables.document(outcomes, captured), indent=1) + "\n")
    except KeyboardInterrupt:
        interrupted = True
    if outcomes:
        print(tables.render(outcomes, captured, arguments.format))
    if interrupted:
        print(f"interrupted: {len(outcomes)} of {len(cells)} cells were measured", file=sys.stderr)
        return INTERRUPTED
    return FAILURE if any(outcome.error for outcome in outcomes) else 0


def _cells(arguments: argparse.Namespace, images: int) -> list[Cell]:
    """Every combination asked for; raises where one of its parts does not exist or is impossible."""
    if not 0 < arguments.seconds <= 3600:
        raise ZooError(f"--seconds must be above 0 and at most 3600, not {arguments.seconds:g}")
    for size in arguments.batch_sizes:
        if not 1 <= size <= images:
            raise ZooError(f"a batch has at least 1 and at most {images:,} images, not {size:,}")
    names = [name for pattern in arguments.models for name in models.list_models(pattern) or [MODELS[pattern].name]]
    asked = arguments.contexts or [str(context) for context in contexts.usable()]
    places = [",".join(map(str, contexts.parse(place))) for place in asked]
    for place in places:
        if min(arguments.batch_sizes) < len(contexts.parse(place)):
            raise UnknownName(f"a batch of {min(arguments.batch_sizes)} cannot be shared by the contexts {place}")
    combinations = itertools.product(names, places, arguments.dtypes, arguments.batch_sizes, arguments.phases)
    return list(dict.fromkeys(itertools.starmap(Cell, combinations)))


def _measured(cells: list[Cell], arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Measure cell by cell, showing which one it is and how long the rest will take."""
    expected = len(cells) * (_STARTUP + arguments.seconds)
    duration = f"{expected / 60:.0f} min" if expected > 90 else f"{expected:.0f} s"
    print(f"measuring {len(cells)} cells, about {duration}", file=sys.stderr)
    with tqdm(total=len(cells), unit="cell", leave=False, disable=None, dynamic_ncols=True) as bar:
        for cell in cells:
            bar.set_description_str(str(cell))
            yield runner.run(cell, arguments.data, arguments.seconds)
            bar.update()
