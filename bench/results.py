"""Result files: what ``python -m bench --json FILE`` and ``--history DIR`` write, and how they are read.

Schema 4, a JSON object:

- ``schema``: 4;
- ``environment``: an object from :func:`bench.environment.capture`, with ``date`` (ISO 8601, UTC) and
  ``revision`` (of git; null outside a checkout; with "+" if files had changed);
- ``ceilings``: the most that the machine can do, as :class:`bench.cells.Ceiling`; those of earlier runs have a date;
- ``results``: one :class:`bench.cells.Outcome` each: ``cell``, and either ``measurement`` or ``error``;
- ``latencies`` and ``profiles``, if requested: :class:`bench.cells.Latency` and ``Profile``;
- ``left_out``: what ``--time-limit`` left no time for, in words.

Fields and their units are those of the dataclasses in ``bench.cells``. Schema 3 had no ``left_out``, and no ``others``
and ``cached`` in ceilings, as each run measured all of them itself. Schema 2 also lacked ``cpu_seconds`` in rounds and
``reference_seconds`` in measurements, and schema 1 ``ceilings``. All are readable; what is missing counts as "not
measured". A schema change needs a new number, and a function in ``_MIGRATIONS`` that leads to it.
"""

from __future__ import annotations

import datetime
import itertools
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, overload

from bench import settings
from bench.cells import LEAST, MOST, Ceiling, Cell, Latency, Measurement, Outcome, Profile, are_plausible
from zoo.errors import DataError, ZooError
from zoo.io import files, places, schema
from zoo.io.schema import build

Kind = TypeVar("Kind")

SCHEMA = 4
_LONGEST = 500  # characters of what is said about a damaged file


@dataclass(frozen=True)
class Host:
    """What every reader of figures needs to know of the environment that they come from."""

    date: str
    processor: str
    threads: int
    cpus_usable: int
    gpus: tuple[str, ...]
    mxnet: str
    python: str
    numpy: str
    revision: str | None
    amx: bool | None = None
    kernels: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check what types do not express."""
        if not is_date(self.date):
            raise _wrong_date(self.date)
        if self.threads < 1:
            raise ZooError(f"threads should be at least 1, not {self.threads}")
        if self.revision is not None and not self.revision.rstrip("+").isalnum():
            raise ZooError(f"its revision should be one of git, not {self.revision!r}")


@dataclass(frozen=True)
class Run:
    """One run of ``python -m bench``."""

    environment: dict[str, Any]
    ceilings: tuple[Ceiling, ...]
    results: tuple[Outcome, ...]
    latencies: tuple[Latency, ...] = ()
    profiles: tuple[Profile, ...] = ()
    left_out: tuple[str, ...] = ()  # what there was no time for

    @property
    def date(self) -> datetime.datetime:
        """When the run began, in UTC."""
        return datetime.datetime.fromisoformat(self.environment["date"])

    @property
    def revision(self) -> str | None:
        """The git revision, with "+" if files had changed; None outside a checkout."""
        return self.environment["revision"]

    @property
    def measured(self) -> dict[Cell, Measurement]:
        """The measurements of all cells that did not fail."""
        return {each.cell: each.measurement for each in self.results if each.measurement is not None}


def document(run: Run) -> dict[str, Any]:
    """Return ``run`` as a JSON object, without absolute paths."""
    raw = asdict(run)
    for profile in raw["profiles"]:
        profile["trace"] = profile["trace"] and places.name(profile["trace"])
    return {"schema": SCHEMA, **raw}


def parse(raw: object) -> Run:
    """Return the run in a JSON value of this or an older schema; :class:`ZooError` says why it holds none."""
    if not isinstance(raw, dict) or "results" not in raw:
        raise ZooError("it holds no results of python -m bench")
    schema = raw.get("schema")
    if type(schema) is not int or schema < 1:
        raise ZooError(f"its schema should be a number from 1 to {SCHEMA}, not {schema!r}")
    if schema > SCHEMA:
        raise ZooError(f"its schema {schema} is of a newer version of this program, which reads 1 to {SCHEMA}")
    try:
        for number in range(schema, SCHEMA):
            raw = _MIGRATIONS[number](raw)
    except (AttributeError, KeyError, TypeError):
        raise ZooError(f"it is not what schema {schema} describes") from None
    run = build(Run, {name: value for name, value in raw.items() if name != "schema"})
    _check(run)
    return replace(run, environment=discreet(run.environment))


def discreet(environment: dict[str, Any]) -> dict[str, Any]:
    """Return ``environment`` without the variables that older versions recorded and this one does not."""
    if "settings" not in environment:
        return environment
    held = environment["settings"]
    return {**environment, "settings": settings.told(held if isinstance(held, dict) else {})}


def check_environment(environment: Mapping[str, object]) -> None:
    """Raise :class:`ZooError` unless ``environment`` has the facts of a :class:`Host`."""
    names = {field.name for field in fields(Host)}
    build(Host, {name: value for name, value in environment.items() if name in names}, place="its environment")


def save(path: Path, run: Run) -> None:
    """Write ``run`` to ``path`` in this schema, replacing an existing file atomically."""
    files.write_text(path, as_json(document(run)) + "\n")


def as_json(document: Mapping[str, object]) -> str:
    """Return ``document`` as JSON that other programs can read: "?" stands for bytes of paths that are no text."""
    readable = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    return json.dumps(json.loads(readable), indent=1)


@overload
def load(path: Path) -> Run: ...
@overload
def load(path: Path, parse: Callable[[object], Kind]) -> Kind: ...
def load(path: Path, parse: Callable[[object], object] = parse) -> object:
    """Load the run in a file of any schema up to this one; :class:`DataError` names the file and what is wrong with it.

    A different ``parse`` turns the JSON value into something else, and raises :class:`ZooError` if it cannot.
    """
    content = files.read(path, DataError)
    try:
        return parse(schema.parse(content, "it"))
    except ZooError as error:
        raise DataError(f"{path} is not a result file, or is damaged: {one_line(str(error), _LONGEST)}") from None


def one_line(text: str, most: int) -> str:
    """Return ``text`` without line breaks and other control characters, cut to ``most`` characters."""
    shown = "".join(each if each.isprintable() else " " for each in text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def add_to_history(folder: Path, run: Run, entry: Path | None = None) -> Path:
    """Save ``run`` to a new file named by date and revision, or again to ``entry``; returns the file."""
    if entry is not None:
        save(entry, run)
        return entry
    stem = f"{run.date:%Y-%m-%dT%H%M%SZ}-{run.revision or 'unversioned'}"
    for number in itertools.count(1):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}.json"
        try:
            path.touch(exist_ok=False)  # reserves this name
        except FileExistsError:
            continue
        save(path, run)
        return path
    raise AssertionError


def load_history(folder: Path) -> list[Run]:
    """Load all runs in ``folder``, oldest first; a file that cannot be read is left out, and a warning names it."""
    if not Path(folder).is_dir():
        raise DataError(f"{folder} is not a folder of results: python -m bench --history {folder} makes one")
    runs: list[Run] = []
    for path in sorted(Path(folder).glob("*.json")):
        try:
            runs.append(load(path))
        except DataError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return sorted(runs, key=lambda run: run.date)


def is_date(text: object) -> bool:
    """Whether ``text`` is a date and time in ISO 8601 with a UTC offset."""
    try:
        return isinstance(text, str) and datetime.datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


def _check(run: Run) -> None:
    """Check what types do not express."""
    check_environment(run.environment)
    for ceiling in run.ceilings:
        if ceiling.cached is not None and not is_date(ceiling.cached):
            raise _wrong_date(ceiling.cached)
        if ceiling.rate is not None and not are_plausible(ceiling.rate):
            raise ZooError(f"its ceiling of {ceiling.of} should be {LEAST:g} to {MOST:g}, not {ceiling.rate:g}")
    for outcome in run.results:
        measurement = outcome.measurement
        if (measurement is None) == (outcome.error is None):
            raise ZooError(f"{outcome.cell} should have either a measurement or an error")
        if outcome.cell.batch_size < 1:
            raise ZooError(f"{outcome.cell} should have a batch of at least 1")
        if measurement is None:
            continue
        if not measurement.rounds or not measurement.batch_seconds:
            raise ZooError(f"{outcome.cell} has no samples")
        rounds = [number for each in measurement.rounds for number in (each.images, each.seconds)]
        if not are_plausible(*rounds, *measurement.batch_seconds, *measurement.reference_seconds):
            raise ZooError(f"{outcome.cell} has samples that are not {LEAST:g} to {MOST:g}")
        if measurement.flops_per_image < 0:
            raise ZooError(f"{outcome.cell} has {measurement.flops_per_image} operations for an image")


def _wrong_date(date: str) -> ZooError:
    return ZooError(f"its date should be like 2026-11-22T11:39:29+00:00, not {date!r}")


def _with_ceilings(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "ceilings": []}


def _with_reference(raw: dict[str, Any]) -> dict[str, Any]:
    def migrated(measurement: dict[str, Any] | None) -> dict[str, Any] | None:
        if measurement is None:
            return None
        rounds = [{**each, "cpu_seconds": None} for each in measurement["rounds"]]
        return {**measurement, "rounds": rounds, "reference_seconds": []}

    results = [{**each, "measurement": migrated(each["measurement"])} for each in raw["results"]]
    return {**raw, "results": results}


def _as_it_is(raw: dict[str, Any]) -> dict[str, Any]:
    """The fields that the next schema adds have defaults."""
    return raw


_MIGRATIONS = {1: _with_ceilings, 2: _with_reference, 3: _as_it_is}  # from each schema to the next
