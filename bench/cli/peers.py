"""``python -m bench peers``: the same work in other libraries."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from bench import environment
from bench.pace import duration
from bench.peers import comparison, tables, works
from bench.peers.comparison import Rounds
from bench.peers.results import Result, TargetRow, judge
from bench.peers.works import Configuration, Target, Work
from bench.results import as_json
from bench.sides.wire import SideFailed
from zoo import models
from zoo.cli.options import add_data, path
from zoo.console import FAILURE, INTERRUPTED
from zoo.data.named import load_data
from zoo.errors import UnknownName, ZooError
from zoo.io import files, temporary
from zoo.models.architectures import MODELS
from zoo.progress import progress_bar, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the rounds, the rows and models to compare, and where the raw rounds go."""
    add = parser.add_argument
    add("--rounds", type=int, metavar="N", help="number of rounds (default: 7, or 5 with --quick)")
    add("--seconds", type=float, metavar="S", help="seconds per side and round (default: 0.6, or 0.1 with --quick)")
    add("--batches", type=int, metavar="N", help="batches per side and round, instead of --seconds")
    add("--only", nargs="+", metavar="PATTERN",
        help="rows in which one of these words or shell patterns occurs, and the sides that they compare")  # fmt: skip
    add("--against", nargs="+", metavar="PATTERN", help="peers in whose name one of these words or patterns occurs")
    add("--models", nargs="+", metavar="MODEL",
        help="models to compare, as names or patterns (default: all)")  # fmt: skip
    add("--quick", action="store_true", help="only float32, fewer rows and sides, short rounds")
    add("--compile", action="store_true", help="also PyTorch's compiled models, which take a minute each to prepare")
    add("--json", type=path, metavar="FILE", help="also write the raw rounds and the environment to FILE")
    add_data(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; returns 0 if all sides of this project worked, whatever the verdicts, 130 after Ctrl-C."""
    plan, targets = _plan(arguments), _targets(arguments)
    if arguments.json:
        files.output_file(arguments.json)
    data = load_data(arguments.data).source  # fetched once; bad data fails before anything is measured
    captured = environment.capture()
    results: dict[Work, list[Result]] = {}
    interrupted = False

    def found() -> tuple[list[TargetRow], dict[Work, list[Result]], Rounds, dict[str, Any], str]:
        rows = [judge(target, results[target.work]) for target in targets if target.work in results]
        return rows, results, plan, captured, data

    try:
        for work, result in _measured(_sides(targets, arguments), plan, arguments.data):
            results[work] = result
            if arguments.json:  # after each piece of work, so that what was measured survives
                files.write_text(arguments.json, as_json(tables.document(*found())) + "\n")
    except KeyboardInterrupt:
        interrupted = True
    if results:
        print(tables.render(*found()))
    if interrupted:
        print("interrupted: only what was complete is shown", file=sys.stderr)
        return INTERRUPTED
    return FAILURE if tables.ours_failed(results) else 0


def _plan(arguments: argparse.Namespace) -> Rounds:
    rounds, seconds = (5, 0.1) if arguments.quick else (7, 0.6)
    rounds = rounds if arguments.rounds is None else arguments.rounds
    seconds = seconds if arguments.seconds is None else arguments.seconds
    if rounds < 5 or (arguments.batches is not None and arguments.batches < 1):
        raise ZooError("a comparison takes at least 5 rounds of at least 1 batch")
    if not 0 < seconds <= 600:
        raise ZooError(f"--seconds must be above 0 and at most 600, not {seconds:g}")
    return Rounds(rounds, seconds, arguments.batches)


def _targets(arguments: argparse.Namespace) -> list[Target]:
    """Return the requested rows; raises :class:`UnknownName` if nothing matches."""
    patterns = arguments.models or ["*"]
    names = [name for pattern in patterns for name in models.list_models(pattern) or [MODELS[pattern].name]]
    targets = [row for name in dict.fromkeys(names) for row in works.targets(name)]
    if arguments.quick:
        targets = [target for target in targets if works.is_quick(target)]
    for pattern in arguments.only or ():
        if not any(_matches(target, [pattern]) for target in targets):
            known = "; ".join(f"{each} against {each.against}" for each in targets if each.work.model == names[0])
            raise UnknownName(f"no row matches {pattern!r}: there are, for each model, {known}")
    return [target for target in targets if not arguments.only or _matches(target, arguments.only)]


def _matches(target: Target, patterns: Sequence[str]) -> bool:
    return _occurs(patterns, f"{target} against {target.against}")


def _occurs(patterns: Sequence[str], text: str) -> bool:
    return any(fnmatchcase(text.lower(), f"*{pattern.lower()}*") for pattern in patterns)


def _sides(targets: Sequence[Target], arguments: argparse.Namespace) -> dict[Work, list[Configuration]]:
    """Return the sides for each piece of work; with ``--only``, just those that its rows compare."""
    sides: dict[Work, list[Configuration]] = {}
    for work in dict.fromkeys(target.work for target in targets):
        rows = [target for target in targets if target.work == work]
        able = works.configurations(work, arguments.compile)
        if arguments.quick:
            able = [each for each in able if works.is_first(each)]
        if arguments.against:
            able = [each for each in able if each.is_ours or _occurs(arguments.against, each.name)]
        sides[work] = [each for each in able if not arguments.only or works.relevant(rows, each)]
    return sides


def _measured(
    sides: dict[Work, list[Configuration]], plan: Rounds, data: str | None
) -> Iterator[tuple[Work, list[Result]]]:
    """Compare piece by piece, showing the side at work, each finished piece and how long the rest will take."""
    total, done, started = sum(map(len, sides.values())), 0, time.monotonic()
    print(f"comparing {total} sides over {plan.rounds} rounds", file=sys.stderr, flush=True)
    failures: dict[str, str] = {}  # for models that could not be handed over
    shown = progress_bar(total=total * comparison.steps(plan), unit="turn", unit_scale=False)
    with shown as bar, temporary.folder() as root:
        for number, (work, configurations) in enumerate(sides.items(), start=1):
            folder = root / work.model
            if not folder.exists():
                bar.set_description_str(f"preparing {work.model}")
                folder.mkdir()
                try:
                    comparison.hand_over(work.model, data, folder)
                except SideFailed as failure:
                    failures[work.model] = str(failure)
            if work.model in failures:
                done += len(configurations)
                say(f"{number}/{len(sides)}  {work}: failed: {failures[work.model]}", sys.stderr)
                yield work, [Result(each, error=failures[work.model]) for each in configurations]
                continue

            def progress(configuration: Configuration, work: Work = work) -> None:
                bar.set_description_str(f"{work}: {configuration.name}")
                bar.update()

            compared = comparison.compare(work, configurations, folder, data, plan, progress)
            done += len(configurations)
            left = (time.monotonic() - started) / done * (total - done)
            say(f"{number}/{len(sides)}  {work}: {len(compared)} sides, {duration(left)} left", sys.stderr)
            yield work, compared
