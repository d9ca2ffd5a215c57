"""``python -m bench compare A B``: is B faster than A?"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from bench import results
from bench.cells import Cell
from bench.cli.table import add_cells, chosen_cells
from bench.compare import revisions, rounds, rows, tables
from bench.compare.revisions import Revision
from bench.compare.rows import ComparisonRow
from bench.compare.statistics import LEVEL, can_normalise, scipy_stats
from bench.pace import duration
from bench.sides.wire import SideFailed
from zoo.cli.options import add_data
from zoo.console import FAILURE, USAGE_ERROR
from zoo.data.named import load_data
from zoo.errors import ZooError
from zoo.progress import progress_bar, say
from zoo.runtime import contexts

_SIZES = {"train": (200,), "infer": (200,)}
_BETWEEN_REVISIONS, _BETWEEN_FILES = 0.03, 0.10  # thresholds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two sides, the cells, and how long to measure them."""
    add = parser.add_argument
    add("a", metavar="A", help="a git revision (tag, HEAD~1, sha, …), or a file that --json or --history wrote")
    add("b", metavar="B", help="another: revisions are measured in turns, of files the cells in common are compared")
    add_cells(parser, "200")
    add("--seconds", type=float, default=30.0, metavar="S",
        help="seconds per cell when comparing revisions; up to four times that on a busy machine "
             "(default: 30)")  # fmt: skip
    add("--pairs", type=int, default=rounds.PAIRS, metavar="N",
        help="pairs of processes among which those seconds are divided (default: %(default)s)")  # fmt: skip
    add("--threshold", type=percent, metavar="PERCENT",
        help="the smallest effect that counts (default: 3%% between revisions, 10%% between files)")  # fmt: skip
    add("--calibrate", type=int, default=1, metavar="N", help="compare the revisions N times, and count the verdicts")
    add("--plant", type=percent, nargs="+", default=[], metavar="PERCENT",
        help="also count the verdicts that B would have got if it were slower by this much")  # fmt: skip
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; returns 1 if a cell is slower, otherwise 2 if one could not be measured, otherwise 0."""
    names = (arguments.a, arguments.b)
    are_files = [Path(name).is_file() for name in names]
    found = [revisions.resolve(name) for name, is_file in zip(names, are_files) if not is_file]
    if len(found) == 1:
        raise ZooError(f"{names[0]} and {names[1]} should be two files or two revisions, not one of each")
    scipy_stats()  # fails before anything is measured
    compared = _revisions(arguments, *found) if found else _files(arguments)
    if any(row.is_slower for row in compared):
        return FAILURE
    return USAGE_ERROR if any(row.error for row in compared) else 0


def percent(text: str) -> float:
    """Argument type: a share such as 3%, above 0% and below 1000%."""
    share = float(text.rstrip("%")) / 100
    if not 0 < share < 10:
        raise argparse.ArgumentTypeError(f"{text} is not above 0% and below 1000%")
    return share


def _files(arguments: argparse.Namespace) -> list[ComparisonRow]:
    a, b = (results.load(Path(name)) for name in (arguments.a, arguments.b))
    threshold = arguments.threshold or _BETWEEN_FILES
    pairs = {
        cell: (a.measured[cell], b.measured[cell])
        for cell in a.measured
        if cell in b.measured and _is_wanted(cell, arguments)
    }
    if not pairs:
        raise ZooError(f"{arguments.a} and {arguments.b} have no cell in common among those asked for")
    compared = [rows.of_measurements(cell, *pair, threshold, LEVEL) for cell, pair in pairs.items()]
    normalised = all(can_normalise(*pair) for pair in pairs.values())
    print(tables.of_files(compared, a, b, normalised, threshold))
    return compared


def _is_wanted(cell: Cell, arguments: argparse.Namespace) -> bool:
    places = arguments.contexts and [",".join(map(str, contexts.parse(place))) for place in arguments.contexts]
    return (
        any(fnmatchcase(cell.model, pattern) for pattern in arguments.models or ("*",))
        and cell.context in (places or (cell.context,))
        and cell.dtype in (arguments.dtypes or (cell.dtype,))
        and cell.batch_size in (arguments.batch_sizes or (cell.batch_size,))
        and cell.phase in (arguments.phases or (cell.phase,))
    )


def _revisions(arguments: argparse.Namespace, a: Revision, b: Revision) -> list[ComparisonRow]:
    if arguments.calibrate < 1:
        raise ZooError(f"--calibrate must be at least 1, not {arguments.calibrate}")
    if arguments.pairs < rounds.FEWEST_PAIRS:
        raise ZooError(f"--pairs must be at least {rounds.FEWEST_PAIRS}, not {arguments.pairs}")
    cells = chosen_cells(arguments, len(load_data(arguments.data).train), _SIZES)
    if revisions.has_changes():
        print("note: changes that are not committed belong to no revision and are not measured", file=sys.stderr)
    threshold, level = arguments.threshold or _BETWEEN_REVISIONS, LEVEL / len(cells)
    compared: list[ComparisonRow] = []
    with ExitStack() as stack:
        folders = [stack.enter_context(revisions.checked_out(revision)) for revision in (a, b)]
        for _ in range(arguments.calibrate):
            latest: list[ComparisonRow] = []
            try:
                for row in _measured(cells, folders, arguments, threshold, level):
                    latest.append(row)
            finally:
                if latest:
                    print(tables.of_revisions(latest, a, b, threshold), flush=True)
            compared += latest
    if arguments.calibrate > 1 or arguments.plant:
        planted = {share: [rows.slowed(row, share, threshold, level) for row in compared] for share in arguments.plant}
        print(tables.of_calibration({0.0: compared, **planted}, arguments.calibrate))
    return compared


def _measured(
    cells: Sequence[Cell], folders: Sequence[Path], arguments: argparse.Namespace, threshold: float, level: float
) -> Iterator[ComparisonRow]:
    """Compare cell by cell, showing the current cell and how long the rest will take."""
    data = arguments.data or os.environ.get("MNIST_DIR") or None
    if data not in (None, "synthetic"):
        data = str(Path(data).absolute())  # the sides start in other folders
    started = time.monotonic()
    with progress_bar(total=len(cells), unit="cell", unit_scale=False) as bar:
        for done, cell in enumerate(cells):
            bar.set_description_str(str(cell))

            def progress(share: float, done: int = done) -> None:
                bar.update(done + share - bar.n)

            try:
                pairs = rounds.measure(cell, folders, data, arguments.seconds, arguments.pairs, progress)
                row = rows.of_pairs(cell, pairs, threshold, level)
            except SideFailed as failure:
                row = ComparisonRow(cell, error=str(failure))
            left = (time.monotonic() - started) / (done + 1) * (len(cells) - done - 1)
            said = f"failed: {row.error}" if row.error else row.verdict
            say(f"{done + 1}/{len(cells)}  {cell}: {said}, {duration(left)} left", sys.stderr)
            yield row
