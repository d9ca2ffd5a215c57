"""Frozen dataclasses from JSON, each field checked against its annotation."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, TypeVar

from zoo.errors import ZooError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind", bound="DataclassInstance")
_MOST_BITS = 256  # of an integer; the states of random generators have 128
_WIDEST = 63  # bits of an integer that is a field by itself, as NumPy takes them
_MOST_DEEP = 64  # objects and lists inside each other
_PLAIN: Mapping[str, type] = {"int": int, "float": float, "str": str, "bool": bool}


def parse(content: bytes | str, where: str) -> object:
    """Parse a JSON text; raises :class:`ZooError`, which names ``where``, if it is not valid JSON."""
    try:
        value = json.loads(content, parse_constant=_refuse)
        check(value)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ZooError(f"{where} is damaged or not valid JSON: {error}") from None
    return value


def check(value: object, deep: int = 0) -> None:
    """Raise :class:`ValueError` for what JSON can say and other code cannot take.

    These are huge numbers, broken characters, and objects or lists inside each other that recursion would not survive.
    """
    if deep > _MOST_DEEP:
        raise ValueError(f"more than {_MOST_DEEP} objects or lists lie inside each other")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise ValueError(f"the text {value[:60]!a} is not valid Unicode")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number is too large")
    elif isinstance(value, int):
        if value.bit_length() > _MOST_BITS:
            raise ValueError(f"a number of {value.bit_length()} bits is too large")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            check(key)
            check(each, deep + 1)
    elif isinstance(value, list):
        for each in value:
            check(each, deep + 1)


def build(kind: type[Kind], value: object, where: str = "", place: str = "") -> Kind:
    """Build the dataclass ``kind`` from a JSON object; raises :class:`ZooError` for the first field not as annotated.

    Annotations may be int, float, str, bool, dict, Any, another dataclass in the module's namespace, ``tuple[…, ...]``
    and ``dict[str, …]`` of these, and any of them ``| None``. Fields that have a default may be missing. Numbers must
    be finite. Errors begin with ``where`` and ``place``, the position of the object there, such as ``results[0].cell``.
    """
    said = ": ".join(filter(None, (where, place)))
    if not isinstance(value, dict):
        raise _unlike(said, "an object", value)
    annotations = {field.name: str(field.type) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    for names, problem in ((needed - set(value), "lacks"), (set(value) - set(annotations), "has the unknown field")):
        if names:
            raise ZooError(f"{said or 'it'} {problem} {', '.join(sorted(names))}")
    scope = vars(sys.modules[kind.__module__])
    inside = f"{place}." if place else ""
    converted = {name: _convert(annotations[name], each, where, inside + name, scope) for name, each in value.items()}
    try:
        return kind(**converted)
    except ZooError as error:  # from the checks of the class itself
        raise ZooError(": ".join(filter(None, (said, str(error))))) from None


def _convert(annotation: str, value: object, where: str, place: str, scope: Mapping[str, type]) -> object:
    if annotation == "Any":
        return value
    annotation, optional, _ = annotation.partition(" | None")
    if optional and value is None:
        return None
    said = ": ".join(filter(None, (where, place)))
    outer, _, inner = annotation.rstrip("]").partition("[")
    if outer == "tuple":
        if not isinstance(value, (list, tuple)):
            raise _unlike(said, "a list", value)
        inner = inner[: -len(", ...")]
        return tuple(_convert(inner, each, where, f"{place}[{n}]", scope) for n, each in enumerate(value))
    if outer == "dict":
        if not isinstance(value, dict):
            raise _unlike(said, "an object", value)
        inner = inner[len("str, ") :]
        return {
            key: _convert(inner, each, where, f"{place}[{key}]", scope) if inner else each
            for key, each in value.items()
        }
    wanted = _PLAIN.get(annotation) or scope[annotation]
    if is_dataclass(wanted):
        return build(wanted, value, where, place)
    if type(value) is int and value.bit_length() > _WIDEST:
        raise ZooError(f"{said} should be a number of at most {_WIDEST} bits, not of {value.bit_length()}")
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise _unlike(said, annotation, value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ZooError(f"{said} is {value}, which is not a finite number")
    return value


def _unlike(said: str, wanted: str, value: object) -> ZooError:
    return ZooError(f"{said or 'it'} should be {wanted}, not {json.dumps(value)[:60]}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")
