"""``python -m bench``: the throughput table."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from bench import details, environment, results, runner, tables
from bench.cells import DTYPES, INFERENCE_ONLY, PHASES, Ceiling, Cell, Latency, Outcome, Profile, Until, highest
from zoo import contexts, files, kernels, lowering, models
from zoo.architectures import MODELS
from zoo.cli.options import add_data, load_data, path
from zoo.console import FAILURE, INTERRUPTED
from zoo.errors import UnknownName, ZooError
from zoo.runtime import STATUS

_STARTUP = 6  # seconds that a cell takes besides measuring: importing, loading, warming up
_PROBE_SECONDS = 1.0  # for a ceiling
_MODELS, _SIZES = ("mlp", "cnn7"), (1, 32, 200)
_HIGHEST_RATE = 100_000


@dataclass(frozen=True)
class _Step:
    text: str
    seconds: float  # that it takes, about
    work: partial


def add_cells(parser: argparse.ArgumentParser, sizes: Sequence[int]) -> None:
    """Which cells; :func:`chosen_cells` is its other half. What is not given is None."""
    add = parser.add_argument
    add("--models", nargs="+", metavar="MODEL", help=f"names or patterns (default: {' '.join(_MODELS)})")
    add("--contexts", nargs="+", metavar="CONTEXT",
        help="cpu, gpu(0), or several as one: 'cpu(0),cpu(1)' (default: every one that works here)")  # fmt: skip
    add("--batch-sizes", nargs="+", type=int, metavar="N", help=f"(default: {' '.join(map(str, sizes))})")
    add(
        "--dtypes",
        nargs="+",
        choices=DTYPES,
        help="bfloat16 on CPUs, float16 on GPUs, int8 for inference on cpu(0) "
        "(default: float32, and bfloat16 where it is on AMX)",
    )
    add("--phases", nargs="+", choices=PHASES, help=f"(default: {' '.join(PHASES)})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cells(parser, _SIZES)
    add = parser.add_argument
    add("--seconds", type=float, default=5.0, metavar="S", help="time to measure each cell for (default: 5)")
    add("--repeat-until", type=_share, metavar="SHARE",
        help="go on until the 95%% interval of the median is no wider than this share of it, such as 2%%")  # fmt: skip
    add("--repeat-limit", type=float, default=60.0, metavar="S",
        help="but with --repeat-until for no longer than this in each cell (default: 60)")  # fmt: skip
    add("--latency", action="store_true", help="also latencies of single images under a steady rate of requests")
    add("--rate", type=float, metavar="R", help="of --latency, requests a second (default: half of what is possible)")
    add("--profile", type=path, nargs="?", const=Path("profiles"), metavar="DIR",
        help="also the operators of each cell, and a Chrome trace of them in DIR (default: profiles)")  # fmt: skip
    add("--format", choices=tables.FORMATS, default="simple", metavar="FORMAT",
        help="any of tabulate's (github, plain, …), csv or json (default: simple)")  # fmt: skip
    add("--json", type=path, metavar="FILE", help="also write raw samples and environment to FILE")
    add("--history", type=path, metavar="DIR", help="also write them to a new file in DIR, named by date and revision")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 0 if all was measured, 1 if something failed, 130 after Ctrl-C."""
    if arguments.json:
        files.output_file(arguments.json)
    for folder in filter(None, (arguments.history, arguments.profile)):
        files.output_directory(folder)
    train = load_data(arguments.data).train  # fetched once, and refused before anything is measured
    if not 0 < arguments.repeat_limit <= 3600:
        raise ZooError(f"--repeat-limit must be above 0 and at most 3600, not {arguments.repeat_limit:g}")
    cells = chosen_cells(arguments, len(train))
    steps = _steps(cells, _latency_cells(cells, arguments), arguments)
    found = results.Run(environment.capture(), (), ())
    interrupted = False
    entry = None  # of the history
    try:
        for result in _done(steps):
            found = _extended(found, result)
            if arguments.json and found.results:  # after every step: what was measured should survive whatever comes
                results.save(arguments.json, found)
            if arguments.history and found.results:
                entry = results.add_to_history(arguments.history, found, entry)
    except KeyboardInterrupt:
        interrupted = True
    if found.results:
        _print(found, arguments.format)
    if interrupted:
        print(f"interrupted: {len(found.results)} of {len(cells)} cells were measured", file=sys.stderr)
        return INTERRUPTED
    return FAILURE if any(each.error for each in (*found.results, *found.latencies, *found.profiles)) else 0


def _extended(run: results.Run, result: Outcome | Latency | Profile | list[Ceiling]) -> results.Run:
    if isinstance(result, Outcome):
        return replace(run, results=(*run.results, result))
    if isinstance(result, Latency):
        return replace(run, latencies=(*run.latencies, result))
    if isinstance(result, Profile):
        return replace(run, profiles=(*run.profiles, result))
    return replace(run, ceilings=highest((*run.ceilings, *result)))


def _print(run: results.Run, style: str) -> None:
    main = run.results, run.ceilings, run.environment
    print(tables.render(*main, style, run.latencies, run.profiles))
    if style in tables.BARE:
        print(tables.remarks(*main), file=sys.stderr)
    for_programs = style in tables.BARE or style == "csv"
    if style != "json" and (run.latencies or run.profiles):
        below = details.render(run.latencies, run.profiles, "simple" if for_programs else style)
        print(f"\n{below}", file=sys.stderr if for_programs else sys.stdout)


def chosen_cells(arguments: argparse.Namespace, images: int, sizes: Sequence[int] = _SIZES) -> list[Cell]:
    """Every combination asked for; raises where one of its parts does not exist or is impossible."""
    if not 0 < arguments.seconds <= 3600:
        raise ZooError(f"--seconds must be above 0 and at most 3600, not {arguments.seconds:g}")
    sizes = arguments.batch_sizes or sizes
    for size in sizes:
        if not 1 <= size <= images:
            raise ZooError(f"a batch has at least 1 and at most {images:,} images, not {size:,}")
    patterns, phases = arguments.models or _MODELS, arguments.phases or PHASES
    names = [name for pattern in patterns for name in models.list_models(pattern) or [MODELS[pattern].name]]
    asked = arguments.contexts or [str(context) for context in contexts.usable()]
    places = [",".join(map(str, contexts.parse(place))) for place in asked]
    for place in places:
        if min(sizes) < len(contexts.parse(place)):
            raise UnknownName(f"a batch of {min(sizes)} cannot be shared by the contexts {place}")
    dtypes = arguments.dtypes or _default_dtypes(places)
    combinations = itertools.product(names, places, dtypes, sizes, phases)
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


def _latency_cells(cells: list[Cell], arguments: argparse.Namespace) -> list[Cell]:
    """Of every combination of model, context and dtype among ``cells``."""
    if arguments.rate is not None and not arguments.latency:
        raise ZooError("--rate is the rate of requests of --latency, which was not asked for")
    if arguments.rate is not None and not 0 < arguments.rate <= _HIGHEST_RATE:
        raise ZooError(
            f"--rate must be above 0 and at most {_HIGHEST_RATE:,} requests a second, not {arguments.rate:g}"
        )
    if not arguments.latency:
        return []
    single = list(dict.fromkeys(replace(cell, batch_size=1, phase="infer") for cell in cells))
    for cell in single:
        if len(contexts.parse(cell.context)) > 1:
            raise ZooError(f"--latency is of single images, which cannot be shared by the contexts {cell.context}")
    return single


def _steps(cells: list[Cell], single: list[Cell], arguments: argparse.Namespace) -> list[_Step]:
    """All there is to do, in order."""
    until = Until(arguments.repeat_until, arguments.repeat_limit) if arguments.repeat_until else None
    dtypes = list(dict.fromkeys(cell.dtype for cell in cells if "gpu" not in cell.context))

    def ceiling(what: str) -> _Step:
        text = f"the most that is possible, {what}"
        return _Step(text, _STARTUP / 2 + _PROBE_SECONDS, partial(runner.probe, what, _PROBE_SECONDS))

    def measurement(cell: Cell) -> _Step:
        work = partial(runner.run, cell, arguments.data, arguments.seconds, until)
        return _Step(str(cell), _STARTUP + max(arguments.seconds, until.limit if until else 0), work)

    def latency(cell: Cell) -> _Step:
        work = partial(runner.latency, cell, arguments.data, arguments.seconds, arguments.rate)
        return _Step(f"latency of {cell}", _STARTUP + arguments.seconds, work)

    def profile(cell: Cell) -> _Step:
        work = partial(runner.profile, cell, arguments.data, arguments.profile / f"{cell.slug}.json")
        return _Step(f"operators of {cell}", _STARTUP, work)

    return [
        *map(ceiling, [*dtypes, *(["memory"] if dtypes else [])]),
        *map(measurement, cells),
        *map(latency, single),
        *map(profile, cells if arguments.profile else ()),
        *map(ceiling, dtypes),  # again, as other work on the machine may keep it from its peak at one time only
    ]


def _done(steps: list[_Step]) -> Iterator[Outcome | Latency | Profile | list[Ceiling]]:
    """Do one after the other, showing which one it is and how long the rest will take."""
    expected = sum(step.seconds for step in steps)
    duration = f"{expected / 60:.0f} min" if expected > 90 else f"{expected:.0f} s"
    cells = sum(step.work.func is runner.run for step in steps)
    print(f"measuring {cells} cell{'s' * (cells != 1)}, about {duration}", file=sys.stderr)
    with tqdm(total=len(steps), unit="step", leave=False, disable=None, dynamic_ncols=True) as bar:
        for step in steps:
            bar.set_description_str(step.text)
            yield step.work()
            bar.update()


def _share(text: str) -> float:
    """An argument's type: a percentage."""
    number = text[:-1] if text.endswith("%") else ""
    try:
        share = float(number) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(
            f"the share must be a percentage above 0% and up to 100%, such as 2%, not {text!r}"
        )
    return share
