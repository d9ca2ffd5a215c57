"""Reads the files that a page is made from and tells their kinds apart; errors name a damaged file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from bench import results
from bench.peers.results import Result
from bench.peers.works import Work
from bench.results import Run
from zoo.errors import DataError, ZooError
from zoo.io.schema import build
from zoo.training.history import History

HISTORY = "history.json"  # in the folder of a training run


@dataclass(frozen=True)
class Host:
    """What the page needs to know of an environment."""

    date: str
    processor: str
    threads: int
    gpus: tuple[str, ...]
    amx: bool | None = None
    kernels: dict[str, Any] | None = None


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
    packages: dict[str, Any]
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


Held = TypeVar("Held", Run, Peers)


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
            found += map(_checked, held)
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
            return _training(raw, path.resolve().parent.name)
        return _checked(results.parse(raw))

    return results.load(path, parse)


def _checked(held: Held) -> Held:
    """Return ``held`` if its environment has the facts that tell figures apart; raises :class:`ZooError` if not."""
    names = [field.name for field in fields(Host)]
    build(Host, {name: value for name, value in held.environment.items() if name in names}, place="its environment")
    return held


def _peers(raw: dict[str, Any]) -> Peers:
    peers = build(Peers, raw)
    for aim in peers.targets:
        interval = aim.interval or ()
        if aim.ratio is not None and not (aim.ratio > 0 and len(interval) == 2 and min(interval) > 0):
            raise ZooError(f"{aim.work} against {aim.against} has a ratio without an interval above 0")
    for group in peers.works:
        for side in group.sides:
            if any(min(each.images, each.seconds) <= 0 for each in side.rounds) or not (side.rounds or side.error):
                raise ZooError(f"{side.configuration.name} has neither rounds above 0 nor an error")
            if side.error is None and (
                side.check is None or (side.check.loss is None) != (not side.check.reference_loss)
            ):
                raise ZooError(f"{side.configuration.name} has no complete check")
    return _checked(replace(peers, environment=results.discreet(peers.environment)))


def _training(raw: dict[str, Any], name: str) -> Training:
    history = build(History, raw)
    for record in history.records:
        if record.seconds <= 0 or not 0 <= (record.validation_accuracy or 0) <= 1:
            raise ZooError(f"epoch {record.epoch} should take more than 0 s, with an accuracy between 0 and 1")
    return Training(name, history)
