"""Ceilings that earlier runs measured, in the user's cache: they hold as long as the setup does not change.

There is one file for each setup. A value is kept if no other program was busy while it was measured, and only a higher
one replaces it: other programs, heat and a busy host make ceilings too low, and nothing makes them too high.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

import psutil

from bench.cells import MEMORY, Ceiling, are_plausible, highest
from bench.contention import BUSY
from bench.results import is_date
from bench.sides.environment import TUNING
from zoo import kernels
from zoo.errors import ZooError
from zoo.io import files, private, schema
from zoo.runtime import STATUS, cpus, isa, mx

# Part of the key, as it chooses threads, instructions and operators.
_PROBES = Path(__file__).with_name("ceilings.py")


@dataclass(frozen=True)
class _File:
    """The contents of a file; every ceiling has its date."""

    ceilings: tuple[Ceiling, ...]


def load(of: Iterable[str]) -> tuple[Ceiling, ...]:
    """Return the ceilings kept for ``of``, dtypes and "memory", with their dates; damaged files count as empty."""
    wanted = set(of)
    if "memory" in wanted:
        wanted |= set(MEMORY)
    return tuple(each for each in _read(_path()) if each.of in wanted)


def keep(ceilings: Sequence[Ceiling], date: str) -> None:
    """Keep what was measured on ``date`` (ISO 8601), if nothing disturbed it and no higher value is kept already.

    If the cache cannot be written, nothing is kept; this is not an error.
    """
    path = _path()
    new = [replace(each, cached=date) for each in ceilings if _is_sound(each)]
    if path is None or not new:
        return
    old = _read(path)
    found = highest((*old, *new))
    if found != old:
        with suppress(ZooError):
            private.write(path, json.dumps(asdict(_File(found)), indent=1).encode())


def missing(of: Iterable[str], ceilings: Sequence[Ceiling]) -> list[str]:
    """Return those of ``of``, dtypes and "memory", whose rates ``ceilings`` lack."""
    known = {each.of for each in ceilings if each.rate is not None}
    return [what for what in of if not known.issuperset(MEMORY if what == "memory" else (what,))]


def _path() -> Path | None:
    """Return the file for this setup; None if there is no directory for caches that is private to this user."""
    try:
        return private.cache("ceilings") / f"{_key()}.json"
    except ZooError:
        return None


def _key() -> str:
    """Hash everything that a ceiling depends on, including the program that measures it."""
    found = kernels.available()
    tuning = {name: value for name, value in sorted(os.environ.items()) if name.startswith(TUNING)}
    facts = (
        platform.node(), cpus.model_name(), sorted(isa.flags()), _affinity(), cpus.usable(), os.cpu_count(),
        psutil.virtual_memory().total >> 30, STATUS.threads, STATUS.amx, found.sha256, found.convolution, tuning,
        mx.__version__, metadata.version("numpy"), files.hexdigest(_PROBES.read_bytes()),
    )  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _affinity() -> list[int]:
    """Return the CPUs this process may use; they matter because some processors mix kinds of cores."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _read(path: Path | None) -> tuple[Ceiling, ...]:
    if path is None:
        return ()
    try:
        found = schema.build(_File, schema.parse(private.read(path) or b"", str(path))).ceilings
    except ZooError:
        return ()
    return highest(each for each in found if is_date(each.cached) and are_plausible(each.rate or 0))


def _is_sound(ceiling: Ceiling) -> bool:
    return ceiling.rate is not None and ceiling.others is not None and ceiling.others <= BUSY
