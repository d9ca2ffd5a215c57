"""A registry of named entries, for models and everything else that is looked up by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from zoo.errors import UnknownName

Entry = TypeVar("Entry")


def suggestion(name: object, known: Iterable[str]) -> str:
    """The hint for an unknown ``name``: the close matches among ``known``, or all of them if none is close."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name).lower(), known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"


class Registry(Generic[Entry]):
    """Entries of one ``kind`` by unique name, in the order of their registration."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> Entry:
        """Register ``entry``; raises ``ValueError`` if the name is taken."""
        if name in self._entries:
            raise ValueError(f"the {self.kind} {name!r} is registered already")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry:
        """The entry ``name``; raises :class:`UnknownName`, which lists close matches, or all names if none is close."""
        try:
            return self._entries[name]
        except (KeyError, TypeError):
            pass
        raise UnknownName(f"there is no {self.kind} {name!r}: {suggestion(name, self)}")

    def names(self, pattern: str = "*") -> list[str]:
        """The sorted names that match a shell pattern such as ``cnn7*``."""
        return sorted(name for name in self if fnmatchcase(name, pattern))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
