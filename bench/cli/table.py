"""``python -m bench``: the throughput table."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import details, environment, results, sweep, tables
from bench.cells import INFERENCE_ONLY, PHASES, Cell, Until
from bench.pace import duration
from bench.sweep import CEILINGS, Plan
from zoo import kernels, models
from zoo.cli.options import add_data, path
from zoo.console import FAILURE, INTERRUPTED
from zoo.data import Dataset
from zoo.data.named import load_data
from zoo.errors import UnknownName, ZooError
from zoo.graph import execution
from zoo.io import files
from zoo.models.architectures import MODELS
from zoo.progress import progress_bar, say
from zoo.runtime import contexts
from zoo.runtime.dtypes import INFERENCE_DTYPES

_MODELS = ("mlp", "cnn7")
_HIGHEST_RATE = 100_000
_LONGEST = 7 * 24 * 3600  # seconds, for --time-limit
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Preset:
    """Defaults for the options that are not given."""

    sizes: Mapping[str, Sequence[int]]  # batch sizes by phase
    seconds: float  # for each cell
    ceilings: str


DEFAULT = Preset({"train": (200,), "infer": (1, 200)}, 1.5, "auto")
QUICK = Preset({"train": (200,), "infer": (200,)}, 0.5, "cached")
FULL = Preset(dict.fromkeys(PHASES, (1, 32, 200)), 5.0, "auto")


def add_cells(parser: argparse.ArgumentParser, sizes: str) -> None:
    """Declare the options that :func:`chosen_cells` reads; options that are not given are None."""
    add = parser.add_argument
    add("--models", nargs="+", metavar="MODEL", help=f"names or patterns (default: {' '.join(_MODELS)})")
    add("--contexts", nargs="+", metavar="CONTEXT",
        help="cpu, gpu(0), or several as one: 'cpu(0),cpu(1)' (default: every one that works here)")  # fmt: skip
    add("--batch-sizes", nargs="+", type=int, metavar="N", help=f"(default: {sizes})")
    add(
        "--dtypes",
        nargs="+",
        choices=INFERENCE_DTYPES,
        help="bfloat16 on CPUs, float16 on GPUs, int8 for inference on cpu(0) "
        "(default: float32, and bfloat16 where it is on AMX)",
    )
    add("--phases", nargs="+", choices=PHASES, help=f"(default: {' '.join(PHASES)})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true",
        help="a first look: batches of 200 and half a second for each cell, no ceilings but cached ones")  # fmt: skip
    extent.add_argument("--full", action="store_true",
        help="the long sweep: batches of 1, 32 and 200 in both phases, five seconds for each cell")  # fmt: skip
    add("--time-limit", type=_time, metavar="TIME",
        help="end the run within these seconds (90, 90s) or minutes (2m): what does not fit is left out and named, and "
             "is not a failure as long as any cell was measured")  # fmt: skip
    add_cells(parser, "200, and 1 for inference")
    add("--seconds", type=float, metavar="S",
        help="seconds per cell, not counting start and warm-up (default: "
             f"{DEFAULT.seconds:g}; with --quick {QUICK.seconds:g}, with --full {FULL.seconds:g})")  # fmt: skip
    add("--repeat-until", type=_share, metavar="SHARE",
        help="go on until the 95%% interval of the median is no wider than this share of it, such as 2%%")  # fmt: skip
    add("--repeat-limit", type=float, default=60.0, metavar="S",
        help="with --repeat-until, at most this many seconds per cell (default: 60)")  # fmt: skip
    add("--ceilings", choices=CEILINGS,
        help="the most that this machine can do, for the column 'of peak', is measured at the end and cached: measure "
             "only what is not cached yet (auto, the default), everything (measure) or nothing (cached, the default of "
             "--quick), or do without (skip)")  # fmt: skip
    add("--latency", action="store_true", help="also latencies of single images under a steady rate of requests")
    add("--rate", type=float, metavar="R", help="requests per second for --latency (default: half of what is possible)")
    add("--profile", type=path, nargs="?", const=Path("profiles"), metavar="DIR",
        help="also the operators of each cell, and a Chrome trace of them in DIR (default: profiles)")  # fmt: skip
    add("--format", choices=tables.FORMATS, default="simple", metavar="FORMAT",
        help="any of tabulate's (github, plain, …), csv or json (default: simple)")  # fmt: skip
    add("--json", type=path, metavar="FILE", help="also write raw samples and environment to FILE, after every cell")
    add("--history", type=path, metavar="DIR", help="also write them to a new file in DIR, named by date and revision")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns 0 if nothing failed (what was left out has not), 1 otherwise, 130 after Ctrl-C."""
    if arguments.json:
        files.output_file(arguments.json)
    for folder in filter(None, (arguments.history, arguments.profile)):
        files.output_directory(folder)
    train = _load(arguments.data)  # fetched once; bad data fails before anything is measured
    todo = plan(arguments, len(train))
    found = results.Run(environment.capture(), (), ())
    interrupted = False
    entry = None  # file in the history
    try:
        for reached in _shown(todo, found.environment):
            found = reached
            if arguments.json and found.results:  # after every step, so that what was measured survives
                results.save(arguments.json, found)
            if arguments.history and found.results:
                entry = results.add_to_history(arguments.history, found, entry)
    except KeyboardInterrupt:
        interrupted = True
    if found.results:
        _print(found, arguments.format)
    if interrupted:
        print(f"interrupted: {len(found.results)} of {len(todo.cells)} cells were measured", file=sys.stderr)
        return INTERRUPTED
    if not found.results:
        raise ZooError(f"no cell was done within {duration(arguments.time_limit)}: give --time-limit more")
    failures = [each.error for rows in (found.results, found.latencies, found.profiles) for each in rows]
    return FAILURE if any(failures) else 0


def _load(data: str | None) -> Dataset:
    """Load the training images. A first run fetches them while it compiles the kernels."""
    compiling = threading.Thread(target=kernels.available, daemon=True)  # a mistake in --data does not wait for it
    compiling.start()
    train = load_data(data).train
    compiling.join()
    return train


def plan(arguments: argparse.Namespace, images: int) -> Plan:
    """Turn the options into a plan, with ``images`` to train on; raises if they make no sense."""
    if not 0 < arguments.repeat_limit <= 3600:
        raise ZooError(f"--repeat-limit must be above 0 and at most 3600, not {arguments.repeat_limit:g}")
    preset = QUICK if arguments.quick else FULL if arguments.full else DEFAULT
    cells = chosen_cells(arguments, images, preset.sizes)
    return Plan(
        cells=tuple(cells),
        latencies=tuple(_latency_cells(cells, arguments)),
        profiles=arguments.profile,
        data=arguments.data,
        seconds=arguments.seconds or preset.seconds,
        until=Until(arguments.repeat_until, arguments.repeat_limit) if arguments.repeat_until else None,
        rate=arguments.rate,
        ceilings=arguments.ceilings or preset.ceilings,
        deadline=arguments.started + arguments.time_limit if arguments.time_limit else None,
    )


def _shown(plan: Plan, captured: dict[str, Any]) -> Iterator[results.Run]:
    """Run ``plan`` step by step, showing each result, the current step and how long the rest will take."""
    with progress_bar(total=len(plan.cells), unit="step", unit_scale=False, bar_format=_BAR) as bar:
        for event in sweep.measured(plan, captured):
            if event.said is not None:
                yield event.run  # before anything is shown, as Ctrl-C may interrupt that
                bar.update()
                if event.said == sweep.LEFT_OUT:  # the table will say so
                    continue
                step = f"{event.number:{len(str(event.total))}}/{event.total}  {event.text}: {event.said}"
                say(f"{step}, {duration(event.left)} left" if event.left else step, sys.stderr)
                continue
            if event.number == 1:
                cells = len(plan.cells)
                say(f"measuring {cells} cell{'s' * (cells != 1)}, about {duration(event.left)}", sys.stderr)
            bar.total = event.total
            bar.set_description_str(event.text, refresh=False)
            bar.set_postfix_str(f"{duration(event.left)} left")


def _print(run: results.Run, style: str) -> None:
    main = run.results, run.ceilings, run.environment
    print(tables.render(*main, style, run.latencies, run.profiles, run.left_out))
    if style in tables.BARE:
        print(tables.remarks(*main, run.left_out), file=sys.stderr)
    elif style == "csv" and run.left_out:
        print(*tables.omitted(run.left_out), file=sys.stderr)
    for_programs = style in tables.BARE or style == "csv"
    if style != "json" and (run.latencies or run.profiles):
        below = details.render(run.latencies, run.profiles, "simple" if for_programs else style)
        print(f"\n{below}", file=sys.stderr if for_programs else sys.stdout)


def chosen_cells(arguments: argparse.Namespace, images: int, default: Mapping[str, Sequence[int]]) -> list[Cell]:
    """Return every requested combination; raises if one of its parts does not exist or is impossible.

    Without ``--batch-sizes``, each phase uses its sizes in ``default`` that the contexts can share.
    """
    if arguments.seconds is not None and not 0 < arguments.seconds <= 3600:
        raise ZooError(f"--seconds must be above 0 and at most 3600, not {arguments.seconds:g}")
    given = arguments.batch_sizes
    sizes = given or sorted({size for each in default.values() for size in each})
    for size in sizes:
        if not 1 <= size <= images:
            raise ZooError(f"a batch has at least 1 and at most {images:,} images, not {size:,}")
    patterns, phases = arguments.models or _MODELS, arguments.phases or PHASES
    names = [name for pattern in patterns for name in models.list_models(pattern) or [MODELS[pattern].name]]
    asked = arguments.contexts or [str(context) for context in contexts.usable()]
    places = [",".join(map(str, contexts.parse(place))) for place in asked]
    devices = {place: len(contexts.parse(place)) for place in places}
    for place in places:
        if given and min(given) < devices[place]:
            raise UnknownName(f"a batch of {min(given)} cannot be shared by the contexts {place}")
    dtypes = arguments.dtypes or _default_dtypes(places)
    combinations = itertools.starmap(Cell, itertools.product(names, places, dtypes, sizes, phases))
    wanted = [
        cell for cell in combinations
        if given or (cell.batch_size in default[cell.phase] and cell.batch_size >= devices[cell.context])
    ]  # fmt: skip
    obstacles = {cell: _obstacle(cell) for cell in wanted}
    cells = [cell for cell, obstacle in obstacles.items() if obstacle is None]
    for asked in (*dtypes, *(places if arguments.contexts else ())):
        if not any(asked in (cell.dtype, cell.context) for cell in cells):
            raise ZooError(next(why for cell, why in obstacles.items() if asked in (cell.dtype, cell.context)))
    return cells


def _default_dtypes(places: list[str]) -> Sequence[str]:
    fast = [execution.fast_dtypes(contexts.parse(place)) for place in places]
    return max(fast, key=len)


def _obstacle(cell: Cell) -> str | None:
    """Return why ``cell`` is impossible; None if it is possible."""
    try:
        execution.check(cell.dtype, contexts.parse(cell.context))
    except ZooError as error:
        return str(error)
    if cell.dtype in INFERENCE_ONLY and cell.phase != "infer":
        return f"{cell.dtype} is for inference only: add infer to --phases"
    return None


def _latency_cells(cells: list[Cell], arguments: argparse.Namespace) -> list[Cell]:
    """Return a single-image inference cell for every combination of model, context and dtype among ``cells``."""
    if arguments.rate is not None and not arguments.latency:
        raise ZooError("--rate needs --latency")
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


def _time(text: str) -> float:
    """Argument type: a time, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    seconds = float(match[1]) * _UNITS.get(match[2], 0) if match else 0.0
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"the time must be like 90, 90s or 2m, and at most a week, not {text!r}")
    return seconds


def _share(text: str) -> float:
    """Argument type: a percentage, as a share."""
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
