"""A cache, across processes, of MXNet's Python functions for its operators.

At every import, MXNet generates the source of 2,500 functions, one for each operator of ``mx.nd``, ``mx.sym`` and their
NumPy-like siblings, and compiles them. This is half of the time that ``import mxnet`` takes. Between processes, a
function differs in only one number, the address of its operator. So the code objects are kept in the user's cache, and
each gets its address when MXNet asks for the function.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Optional

from zoo.errors import ZooError
from zoo.io import private

if TYPE_CHECKING:
    import ctypes

_REGISTRARS = ("_init_op_module", "_init_np_op_module")  # in mxnet.base: each calls a maker for every operator
_SOURCES = ("base.py", "ndarray/register.py", "symbol/register.py")  # generate the functions' source
_TAIL = 2**20  # bytes at the end of the library that identify its build
_FORMAT = 1  # version of the file format

_Key = tuple[str, str, str]  # module of the maker, operator and function name
_Entry = tuple[CodeType, int, tuple[bool, ...], Optional[str]]  # what _entry returns


@dataclass
class _Table:
    """The known functions."""

    entries: dict[_Key, _Entry]
    is_complete: bool = True  # False once a function was missing and had to be made


@contextmanager
def remembered(base: ModuleType, library: Path) -> Iterator[None]:
    """While MXNet registers its operators, take their functions from the cache, and add those that it lacks.

    ``base`` is ``mxnet.base``, and ``library`` is the libmxnet.so that holds the operators. If the cache cannot be
    used, MXNet makes all functions, as it would by itself.
    """
    table = _Table(_load(library))
    originals = {name: getattr(base, name) for name in _REGISTRARS}
    for name, original in originals.items():
        setattr(base, name, _with_table(original, table, base._Null))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(base, name, original)
    if not table.is_complete:
        _save(library, table.entries)


def _with_table(register: Callable[..., object], table: _Table, null: object) -> Callable[..., object]:
    """``register`` with the maker among its arguments replaced by a :class:`_Maker`."""

    def replaced(argument: object) -> object:
        return _Maker(argument, table, null) if isinstance(argument, FunctionType) else argument

    @functools.wraps(register)
    def registering(*arguments: object, **named: object) -> object:
        return register(*map(replaced, arguments), **{name: replaced(value) for name, value in named.items()})

    return registering


class _Maker:
    """MXNet's ``make(handle, name, func_name)``, which makes an operator's function, backed by a table."""

    def __init__(self, make: FunctionType, table: _Table, null: object) -> None:
        self._make, self._table, self._null = make, table, null

    def __call__(self, handle: ctypes.c_void_p, name: str, func_name: str) -> FunctionType:
        key = (self._make.__module__, name, func_name)
        entry = self._table.entries.get(key)
        if entry is None:
            made: FunctionType = self._make(handle, name, func_name)
            entry = _entry(made, handle.value, self._null)
            if entry is not None:
                self._table.entries[key] = entry
                self._table.is_complete = False
            return made
        code, place, nulls, doc = entry
        constants = code.co_consts
        code = code.replace(co_consts=(*constants[:place], handle.value, *constants[place + 1 :]))
        defaults = tuple(self._null if is_null else None for is_null in nulls)
        function = FunctionType(code, self._make.__globals__, func_name, defaults)
        function.__doc__ = doc
        return function


def _entry(function: FunctionType, address: int | None, null: object) -> _Entry | None:
    """The code, the address's index in its constants, which defaults are MXNet's _Null (else None), and the docstring.

    None for a function of another form, which these values would not describe completely.
    """
    code, defaults = function.__code__, function.__defaults__ or ()
    if code.co_consts.count(address) != 1 or function.__closure__ or function.__kwdefaults__:
        return None
    if not all(default is None or default is null for default in defaults):
        return None
    place = code.co_consts.index(address)
    # Drop the docstring among the constants: MXNet sets another one, with less indentation.
    constants = (None if each == address or each == code.co_consts[0] else each for each in code.co_consts)
    nulls = tuple(default is null for default in defaults)
    return code.replace(co_consts=tuple(constants)), place, nulls, function.__doc__


def _load(library: Path) -> dict[_Key, _Entry]:
    with suppress(ZooError, OSError, ValueError, EOFError, TypeError):
        content = private.read(_path(library))
        if content is not None:
            return marshal.loads(content)
    return {}


def _save(library: Path, entries: dict[_Key, _Entry]) -> None:
    with suppress(ZooError, OSError):  # without the file, the import only takes longer
        private.write(_path(library), marshal.dumps(entries))


def _path(library: Path) -> Path:
    """The cache file for this Python and this build of MXNet, wherever MXNet is installed."""
    key = hashlib.sha256(f"{_FORMAT} {sys.version} {library.stat().st_size}".encode())
    with library.open("rb") as file:
        file.seek(-_TAIL, os.SEEK_END)  # hashing the whole file would take longer than the cache saves
        key.update(file.read())
    for source in _SOURCES:
        key.update((library.parent / source).read_bytes())
    return private.cache("operators") / f"{key.hexdigest()[:16]}.code"
