"""The text in which MXNet keeps settings, read as MXNet reads it (dmlc/parameter.h, mxnet/tuple.h)."""

from __future__ import annotations

import re
from typing import Any

_WORDS = {"true": True, "false": False, "none": None}
_WHOLE = re.compile(r"[+-]?[0-9]+(?=L?$)")  # L ends long integers of Python 2
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?(?=f?$)|inf(?:inity)?$|nan$)", re.IGNORECASE
)
_TUPLE = re.compile(r"[(\[](.*?),?\s*[)\]]", re.DOTALL)  # the brackets need not match, and a comma may end it


def value(text: str) -> Any:  # noqa: ANN401
    """Return the Boolean, the number, None or the tuple that ``text`` spells, and words as they are.

    Booleans come as words or as 1 and 0, which equal True and False in Python, too.
    """
    text = text.strip()
    if match := _TUPLE.fullmatch(text):
        inside = match[1].strip()
        return tuple(value(part) for part in inside.split(",")) if inside else ()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if match := _WHOLE.match(text):
        return int(match[0])
    if match := _NUMBER.match(text):
        return float(match[0])
    return text


def integers(value: object) -> tuple[int, ...] | None:
    """Return a value as a tuple, of one element if it is a number; None if anything in it is no integer."""
    held = value if isinstance(value, tuple) else (value,)
    return held if all(isinstance(each, int) and not isinstance(each, bool) for each in held) else None
