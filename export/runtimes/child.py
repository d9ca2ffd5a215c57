"""The process of its own in which a runtime runs, so that nothing it does harms anything else.

It reads ``0.npz``, ``1.npz`` and so on, a file of arrays for each batch, and answers with files of the same names.
MXNet is not imported here.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from export.runtimes.runtime import Forward

ANSWER = "answer.json"  # written last
_AT_LEAST = 2  # batches that are run, however long they take


def main(module: str, function: str, model: str, batches: str, answers: str, seconds: str) -> None:
    """Open ``model`` by ``function`` of ``module``, and run as many ``batches`` as there is time for, at least two."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # no dump of a crash
    answer: dict[str, object]
    try:
        opener: Callable[[Path], Forward] = getattr(import_module(module), function)
        answer = {"batches": _run(opener(Path(model)), Path(batches), Path(answers), float(seconds))}
    except BaseException as error:  # each runtime has its own exceptions, and some end the process
        lines = (line.strip() for line in str(error).replace(model, Path(model).name).splitlines())
        answer = {"refusal": next(filter(None, lines), type(error).__name__)}
    Path(answers, ANSWER).write_text(json.dumps(answer))
    os._exit(0)  # without what the runtime does at the end, which may crash


def _run(forward: Forward, batches: Path, answers: Path, seconds: float) -> int:
    number, begin = 0, time.monotonic()
    while number < _AT_LEAST or time.monotonic() - begin < seconds:
        batch = batches / f"{number}.npz"
        if not batch.exists():
            break
        outputs = forward(*load(batch))
        save(answers / batch.name, [np.asarray(each, np.float32) for each in outputs])
        number += 1
    return number


def save(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write ``arrays`` to ``path``, for :func:`load`."""
    np.savez(path, *arrays)


def load(path: Path) -> list[np.ndarray]:
    """Return the arrays that ``path`` holds, in their order."""
    with np.load(path) as arrays:
        return [arrays[f"arr_{number}"] for number in range(len(arrays))]
