"""Where figures come from: machine, software and settings of every file, stated once where they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report.inputs import Inputs
from bench.report.parts import Group, Section, Table

_TEXT = (
    "Everything outside the code that can change a figure, as it was when a run began: dates in UTC, and the load "
    "average of the minute before it."
)


def section(inputs: Inputs) -> Section | None:
    """Tabulate the environments of all files, split by whether they agree; None if no file has one."""
    environments = [_flat(run.environment) for run in inputs.runs]
    environments += [{**_flat(peers.environment), **peers.packages, "images": peers.data} for peers in inputs.peers]
    if not environments:
        return None
    names = list(dict.fromkeys(name for environment in environments for name in environment))
    alike = [name for name in names if len({environment.get(name, "") for environment in environments}) == 1]
    several = len(environments) > 1
    rows: Sequence[Sequence[str]] = [(_words(name), environments[0].get(name, "")) for name in alike]
    tables = [Table(("what", "value"), rows, "The same in all" if several else "")]
    differing = [name for name in names if name not in alike]
    if differing:
        rows = [[environment.get(name, "") for name in differing] for environment in environments]
        tables.append(Table([_words(name) for name in differing], rows, "Different: a row for each file"))
    return Section("environment", "Environment", _TEXT, [Group("", tables=tables)])


def _flat(environment: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Return names and values as text; names in nested objects have the object's name as prefix."""
    facts: dict[str, str] = {}
    for name, value in environment.items():
        if isinstance(value, Mapping):
            facts.update(_flat(value, f"{prefix}{name}: "))
        elif isinstance(value, (list, tuple)):
            facts[prefix + name] = ", ".join(map(str, value)) or "none"
        else:
            facts[prefix + name] = _text(value)
    return facts


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "unknown", True: "yes", False: "no"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return name if ": " in name else name.replace("_gib", " (GiB)").replace("_", " ")
