"""How paths are named in what others may read: results, histories, exported models.

An absolute path tells the user's name and how their disk is arranged, and means nothing on another machine. Bytes of a
path that are no text are replaced, as JSON cannot hold them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_BROKEN = re.compile("[\ud800-\udfff]")  # how Python holds bytes of a path that are no text
_ABSOLUTE = re.compile(r"(?<![\w.~/])/[^\s/\"'`,;:()<>|][^\s\"'`,;:()<>|]*")  # not: units such as images/s, and URLs


def name(path: str | os.PathLike[str]) -> str:
    """Name ``path`` from the working directory or from home, if it is there, else by its last part: ``.../mnist``."""
    path = Path(readable(os.fspath(path)))
    if not path.is_absolute():
        return str(path)
    for place, sign in ((Path.cwd, ""), (Path.home, "~")):
        try:
            below = path.relative_to(place())
        except (ValueError, OSError, RuntimeError):  # elsewhere; the directory is gone; there is no home
            continue
        if place().parent != place():  # not: the root of the file system
            return str(Path(sign, below))
    return f".../{path.name}" if path.name else "/"


def readable(text: str) -> str:
    """Return ``text`` with the replacement character in place of what is no text."""
    return _BROKEN.sub("\N{REPLACEMENT CHARACTER}", text)


def told(text: str) -> str:
    """Return ``text`` with every absolute path in it named as by :func:`name`."""
    return _ABSOLUTE.sub(lambda found: name(found[0]), readable(text))


def argument(text: str) -> str:
    """The same for an argument of a command line, where a path may hold any sign, spaces too."""
    option, path = re.fullmatch(r"((?:--[\w-]+=)?(?:rec:)?)(.*)", readable(text), re.DOTALL).groups()  # type: ignore[union-attr]
    return option + (name(path) if path.startswith("/") else path)
