"""Frozen dataclasses from JSON, each field checked against its annotation."""

from __future__ import annotations

import json
import sys
from dataclasses import MISSING, fields, is_dataclass
from typing import TypeVar

from zoo.errors import ZooError

Kind = TypeVar("Kind")
_PLAIN = {"int": int, "float": float, "str": str, "bool": bool}


def parse(content: bytes | str, where: str) -> object:
    """The value of a JSON text; :class:`ZooError` says ``where`` and why it is none."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ZooError(f"{where} is damaged or no JSON: {error}") from None


def build(kind: type[Kind], value: object, where: str) -> Kind:
    """The dataclass ``kind`` of a JSON object; :class:`ZooError` names the first field that is not as annotated.

    Annotations may be int, float, str, bool, another dataclass of the same module, ``tuple[…, ...]`` and
    ``dict[str, …]`` of these, and any of them ``| None``. Fields that have a default may be missing.
    """
    if not isinstance(value, dict):
        raise _unlike(where, "an object", value)
    annotations = {field.name: field.type for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    for names, problem in ((needed - set(value), "lacks"), (set(value) - set(annotations), "has the unknown field")):
        if names:
            raise ZooError(f"{where} {problem} {', '.join(sorted(names))}")
    scope = vars(sys.modules[kind.__module__])
    converted = {name: _convert(annotations[name], each, f"{where}: {name}", scope) for name, each in value.items()}
    try:
        return kind(**converted)
    except ZooError as error:  # of its own checks
        raise ZooError(f"{where}: {error}") from None


def _convert(annotation: str, value: object, where: str, scope: dict) -> object:
    annotation, optional, _ = annotation.partition(" | None")
    if optional and value is None:
        return None
    outer, _, inner = annotation.rstrip("]").partition("[")
    if outer == "tuple":
        if not isinstance(value, list):
            raise _unlike(where, "a list", value)
        return tuple(_convert(inner[: -len(", ...")], each, f"{where}[{n}]", scope) for n, each in enumerate(value))
    if outer == "dict":
        if not isinstance(value, dict):
            raise _unlike(where, "an object", value)
        return {key: _convert(inner[len("str, ") :], each, f"{where}[{key}]", scope) for key, each in value.items()}
    wanted = _PLAIN.get(annotation) or scope[annotation]
    if is_dataclass(wanted):
        return build(wanted, value, where)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise _unlike(where, annotation, value)
    return value


def _unlike(where: str, wanted: str, value: object) -> ZooError:
    return ZooError(f"{where} should be {wanted}, not {json.dumps(value)[:60]}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
