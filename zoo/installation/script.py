"""Run an unmodified MXNet script in a process in which ``import mxnet`` works."""

from __future__ import annotations

import importlib.util
import multiprocessing
import runpy
import sys
from pathlib import Path

from zoo.errors import UnknownName, ZooError

# Arguments of the interpreter, before the script and the script's own arguments.
COMMAND = ("-c", "from zoo.installation.script import main; main()")
SITE = Path(__file__).parent / "site"  # on PYTHONPATH, it gives the import hook to processes that the script starts


def find(path: Path) -> Path:
    """The script ``path``, or the tool of that name in MXNet's wheel; raises :class:`ZooError` if there is neither."""
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
    """Run the script that ``sys.argv[1]`` names, as ``python SCRIPT`` would."""
    del sys.argv[0]
    path = str(Path(sys.argv[0]).absolute())
    if sys.path[0] == "":  # it is not with -P, -I or PYTHONSAFEPATH
        sys.path[0] = str(Path(path).resolve().parent)
    sys.excepthook = lambda kind, error, _: sys.__excepthook__(kind, _within(path, error), error.__traceback__)
    if sys.platform == "linux":  # such scripts expect fork, the default before Python 3.14
        default = multiprocessing.context._default_context
        default._default_context = multiprocessing.get_context("fork")  # type: ignore[attr-defined]
    runpy.run_path(path, run_name="__main__")


def _within(path: str, error: BaseException) -> BaseException:
    """Cut the tracebacks of ``error`` and its causes to start in the script; drop those that do not reach it."""
    chained: BaseException | None = error
    seen: set[int] = set()
    while chained is not None and id(chained) not in seen:
        seen.add(id(chained))
        frames = []
        inner = chained.__traceback__
        while inner is not None:
            frames.append(inner)
            inner = inner.tb_next
        names = [frame.tb_frame.f_code.co_filename for frame in frames]
        if path in names:
            chained.__traceback__ = frames[names.index(path)]
        elif __file__ in names:
            chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__
    return error
