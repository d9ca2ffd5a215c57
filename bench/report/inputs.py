"""Reads the files that a page is made from and tells their kinds apart; errors name a damaged file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import results
from bench.cells import LEAST, MOST, are_plausible
from bench.peers.results import Result
from bench.peers.works import Work
from bench.results import Run
from zoo.errors import DataError, ZooError
from zoo.io import places
from zoo.io.schema import build
from zoo.training.history import History

HISTORY = "history.json"  # in the folder of a training run
_MOST_TARGETS = 300  # several times as many as all models have; matplotlib cannot draw thousands


@dataclass(frozen=True)
class SavedTarget:
    """A row of ``python -m bench peers``: what was compared, and the result."""

    work: str
    against: str
    at_least: float | None
    stretch: float | None
    ours: str | None
    theirs: str | None
    ratio: float | None
    interval: tuple[float, ...] | None  # its lower and upper end
    verdict: str


@dataclass(frozen=True)
class SavedWork:
    """All sides of a piece of work."""

    work: Work
    sides: tuple[Result, ...]


@dataclass(frozen=True)
class Peers:
    """What ``python -m bench peers --json`` writes."""

    schema: int
    environment: dict[str, Any]
    packages: dict[str, str]
    data: str
    plan: dict[str, Any]
    targets: tuple[SavedTarget, ...]
    works: tuple[SavedWork, ...]


@dataclass(frozen=True)
class Training:
    """A run of ``python -m zoo train --out``."""

    name: str  # of its folder
    history: History


@dataclass(frozen=True)
class Inputs:
    """Everything that a page shows, with runs from the oldest to the newest."""

    runs: tuple[Run, ...] = ()
    peers: tuple[Peers, ...] = ()
    trainings: tuple[Training, ...] = ()


def read(paths: Iterable[Path]) -> Inputs:
    """Read result files, training histories, and folders of either; :class:`DataError` names what cannot be read."""
    found: list[Any] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(_file(path))
        elif (path / HISTORY).exists():
            found.append(_file(path / HISTORY))
        else:
            held = results.load_history(path)
            if not held:
                raise DataError(f"{path} holds neither results of python -m bench nor a {HISTORY}")
            found += held
    return Inputs(
        tuple(sorted((each for each in found if isinstance(each, Run)), key=lambda run: run.date)),
        tuple(each for each in found if isinstance(each, Peers)),
        tuple(each for each in found if isinstance(each, Training)),
    )


def _file(path: Path) -> Run | Peers | Training:
    def parse(raw: object) -> Run | Peers | Training:
        if isinstance(raw, dict) and "works" in raw:
            return _peers(raw)
        if isinstance(raw, dict) and "records" in raw:
            return _training(raw, places.readable(Path(os.path.realpath(path)).parent.name))
        return results.parse(raw)

    return results.load(path, parse)


def _peers(raw: dict[str, Any]) -> Peers:
    peers = build(Peers, raw)
    results.check_environment(peers.environment)
    if len(peers.targets) > _MOST_TARGETS:
        raise ZooError(f"it has {len(peers.targets):,} targets, of which a page shows at most {_MOST_TARGETS}")
    for aim in peers.targets:
        name, interval = f"{aim.work} against {aim.against}", aim.interval or ()
        compared = aim.ratio is not None or aim.interval is not None
        if compared and not (len(interval) == 2 and are_plausible(*interval)):
            raise ZooError(f"{name} has a ratio without an interval above 0")
        if not are_plausible(*(each for each in (aim.ratio, aim.at_least, aim.stretch) if each is not None)):
            raise ZooError(f"{name} has a ratio or a target that is not {LEAST:g} to {MOST:g}")
    for group in peers.works:
        if group.work.batch_size < 1:
            raise ZooError(f"{group.work} should have a batch of at least 1")
        for side in group.sides:
            rounds_are_good = all(are_plausible(each.images, each.seconds) for each in side.rounds)
            if not rounds_are_good or not (side.rounds or side.error):
                raise ZooError(f"{side.configuration.name} has neither rounds above 0 nor an error")
            if side.error is None and (
                side.check is None or (side.check.loss is None) != (not side.check.reference_loss)
            ):
                raise ZooError(f"{side.configuration.name} has no complete check")
    return replace(peers, environment=results.discreet(peers.environment))


def _training(raw: dict[str, Any], name: str) -> Training:
    history = build(History, raw)
    for record in history.records:
        if not are_plausible(record.seconds) or not 0 <= (record.validation_accuracy or 0) <= 1:
            raise ZooError(f"epoch {record.epoch} should take more than 0 s, with an accuracy between 0 and 1")
    return Training(name, history)
