"""``python -m bench``: the throughput table."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator

from tqdm import tqdm

from bench import environment, results, runner, tables
from bench.cells import DTYPES, INFERENCE_ONLY, PHASES, Ceiling, Cell, Outcome, highest
from zoo import contexts, files, kernels, lowering, models
from zoo.architectures import MODELS
from zoo.cli.options import add_data, load_data, path
from zoo.console import FAILURE, INTERRUPTED
from zoo.errors import UnknownName, ZooError
from zoo.runtime import STATUS

_STARTUP = 6  # seconds that a cell takes besides measuring: importing, loading, warming up
_PROBE_SECONDS = 1.0  # for a ceiling


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--models", nargs="+", default=["mlp", "cnn7"], metavar="MODEL", help="names or patterns (default: mlp cnn7)")
    add("--contexts", nargs="+", metavar="CONTEXT",
        help="cpu, gpu(0), or several as one: 'cpu(0),cpu(1)' (default: every one that works here)")  # fmt: skip
    add("--batch-sizes", nargs="+", type=int, default=[1, 32, 200], metavar="N", help="(default: 1 32 200)")
    add(
        "--dtypes",
        nargs="+",
        choices=DTYPES,
        help="bfloat16 on CPUs, int8 for inference on cpu(0) (default: float32, and bfloat16 where it is on AMX)",
    )
    add("--phases", nargs="+", choices=PHASES, default=list(PHASES), help="(default: train infer)")
    add("--seconds", type=float, default=5.0, metavar="S", help="time to measure each cell for (default: 5)")
    add("--format", choices=tables.FORMATS, default="simple", metavar="FORMAT",
        help="any of tabulate's (github, plain, …), csv or json (default: simple)")  # fmt: skip
    add("--json", type=path, metavar="FILE", help="also write raw samples and environment to FILE")
    add("--history", type=path, metavar="DIR", help="also write them to a new file in DIR, named by date and revision")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 0 if every cell was measured, 1 if some failed, 130 after Ctrl-C."""
    if arguments.json:
        files.output_file(arguments.json)
    if arguments.history:
        files.output_directory(arguments.history)
    train = load_data(arguments.data).train  # fetched once, and refused before anything is measured
    cells = _cells(arguments, len(train))
    captured = environment.capture()
    outcomes: list[Outcome] = []
    ceilings: tuple[Ceiling, ...] = ()
    interrupted = False
    entry = None  # of the history
    try:
        for result in _measured(cells, arguments):
            if isinstance(result, Outcome):
                outcomes.append(result)
            else:
                ceilings = highest((*ceilings, *result))
            measured = results.Run(captured, ceilings, tuple(outcomes))
            if arguments.json and outcomes:  # after every cell: what was measured should survive whatever comes
                results.save(arguments.json, measured)
            if arguments.history and outcomes:
                entry = results.add_to_history(arguments.history, measured, entry)
    except KeyboardInterrupt:
        interrupted = True
    if outcomes:
        print(tables.render(outcomes, ceilings, captured, arguments.format))
        if arguments.format in tables.BARE:
            print(tables.remarks(outcomes, ceilings, captured), file=sys.stderr)
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
    dtypes = arguments.dtypes or _default_dtypes(places)
    combinations = itertools.product(names, places, dtypes, arguments.batch_sizes, arguments.phases)
    obstacles = {cell: _obstacle(cell) for cell in itertools.starmap(Cell, combinations)}
    cells = [cell for cell, obstacle in obstacles.items() if obstacle is None]
    for asked in (*dtypes, *(places if arguments.contexts else ())):
        if not any(asked in (cell.dtype, cell.context) for cell in cells):
            raise ZooError(next(why for cell, why in obstacles.items() if asked in (cell.dtype, cell.context)))
    return cells


def _default_dtypes(places: list[str]) -> list[str]:
    on_cpu = any("gpu" not in place for place in places)
    return ["float32", "bfloat16"] if on_cpu and STATUS.amx and kernels.available().convolution else ["float32"]


def _obstacle(cell: Cell) -> str | None:
    """Why there can be no such cell."""
    if cell.dtype in INFERENCE_ONLY:
        if cell.context != "cpu(0)":
            return f"{cell.dtype} runs on cpu(0) only, not on {cell.context}"
        return None if cell.phase == "infer" else f"{cell.dtype} is for inference only: add infer to --phases"
    try:
        lowering.resolve(cell.dtype, None, contexts.parse(cell.context))  # the network would only decide on "auto"
    except ZooError as error:
        return str(error)
    return None


def _measured(cells: list[Cell], arguments: argparse.Namespace) -> Iterator[Outcome | list[Ceiling]]:
    """Measure ceilings and cells one by one, showing which one it is and how long the rest will take."""
    dtypes = list(dict.fromkeys(cell.dtype for cell in cells if "gpu" not in cell.context))
    # Twice, as other work on the machine may keep it from its peak at one time and not at another.
    steps = [*dtypes, *(["memory"] if dtypes else []), *cells, *dtypes]
    expected = len(cells) * (_STARTUP + arguments.seconds) + (len(steps) - len(cells)) * (_STARTUP / 2 + _PROBE_SECONDS)
    duration = f"{expected / 60:.0f} min" if expected > 90 else f"{expected:.0f} s"
    print(f"measuring {len(cells)} cells, about {duration}", file=sys.stderr)
    with tqdm(total=len(steps), unit="step", leave=False, disable=None, dynamic_ncols=True) as bar:
        for step in steps:
            bar.set_description_str(str(step) if isinstance(step, Cell) else f"the most that is possible, {step}")
            if isinstance(step, Cell):
                yield runner.run(step, arguments.data, arguments.seconds)
            else:
                yield runner.probe(step, _PROBE_SECONDS)
            bar.update()
