"""Runs a script that was written for MXNet, unmodified, in a process in which ``import mxnet`` works."""

from __future__ import annotations

import importlib.util
import multiprocessing
import runpy
import sys
from pathlib import Path

from zoo.errors import UnknownName, ZooError

COMMAND = ("-c", "from zoo.script import main; main()")  # for the interpreter, before the script and its arguments


def find(path: Path) -> Path:
    """The script ``path``, or of that name among the tools in MXNet's wheel; :class:`ZooError` where there is none."""
    if path.is_file():
        return path
    if path.exists():
        raise ZooError(f"{path} is no script: it is a directory or device")
    spec = importlib.util.find_spec("mxnet")
    folders = [Path(each) / "tools" for each in (spec and spec.submodule_search_locations) or ()]
    tools = {tool.name: tool for folder in folders for tool in folder.glob("*.py")}
    if str(path) in tools:
        return tools[str(path)]
    raise UnknownName(f"there is no script {path}; MXNet's own tools are {', '.join(sorted(tools)) or 'not installed'}")


def main() -> None:
    """Run the script that ``sys.argv`` names as ``python SCRIPT`` would."""
    del sys.argv[0]
    path = sys.argv[0]
    sys.path[0] = str(Path(path).resolve().parent)
    sys.excepthook = lambda kind, error, _: sys.__excepthook__(kind, _within(path, error), error.__traceback__)
    if (
        "fork" in multiprocessing.get_all_start_methods()
    ):  # the default when such scripts were written, until Python 3.14
        multiprocessing.set_start_method("fork")
    runpy.run_path(path, run_name="__main__")


def _within(path: str, error: BaseException) -> BaseException:
    """``error`` and what led to it, with tracebacks that begin in the script as far as they reach it."""
    chained: BaseException | None = error
    while chained is not None:
        inner = chained.__traceback__
        while inner is not None and inner.tb_frame.f_code.co_filename != path:
            inner = inner.tb_next
        chained.__traceback__ = inner or chained.__traceback__
        chained = chained.__cause__ or chained.__context__
    return error
