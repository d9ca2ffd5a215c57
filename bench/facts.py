"""Frozen dataclasses out of JSON values that may be anything."""

from __future__ import annotations

import math
import sys
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from zoo.errors import ZooError

_KINDS = {"str": str, "bool": bool, "int": int, "float": (int, float), "dict": dict}


def build(cls: type, raw: Any, where: str = "") -> Any:
    """An instance of the dataclass ``cls``, nested ones included; :class:`ZooError` says what in ``raw`` is wrong.

    Fields are annotated with str, bool, int, float, dict, a dataclass that their module knows, ``tuple[…, ...]``
    of these, or any of them ``| None``; those with a default may be missing. Numbers must be finite.
    """
    if not isinstance(raw, dict):
        raise ZooError(f"{where or 'it'} should be an object, not {_shown(raw)}")
    known = {field.name: field for field in fields(cls)}
    for name in raw:
        if name not in known:
            raise ZooError(f"{where or 'it'} has an unknown field {name!r}")
    for name, field in known.items():
        if name not in raw and field.default is MISSING:
            raise ZooError(f"{where or 'it'} lacks {name!r}")
    inside = f"{where}." if where else ""
    return cls(**{name: _value(cls, known[name].type, value, inside + name) for name, value in raw.items()})


def _value(cls: type, kind: str, raw: Any, where: str) -> Any:
    kind, _, alternative = kind.partition(" | ")
    if raw is None and alternative == "None":
        return None
    if kind.startswith("tuple["):
        if not isinstance(raw, (list, tuple)):
            raise ZooError(f"{where} should be a list, not {_shown(raw)}")
        inner = kind[len("tuple[") : -len(", ...]")]
        return tuple(_value(cls, inner, each, f"{where}[{place}]") for place, each in enumerate(raw))
    if kind in _KINDS:
        if not isinstance(raw, _KINDS[kind]) or (isinstance(raw, bool) and kind != "bool"):
            raise ZooError(f"{where} should be of type {kind}, not {_shown(raw)}")
        if isinstance(raw, float) and not math.isfinite(raw):
            raise ZooError(f"{where} is {raw}, no finite number")
        return raw
    nested = vars(sys.modules[cls.__module__])[kind]
    assert is_dataclass(nested), kind
    return build(nested, raw, where)


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 40 else f"{text[:37]}…"
