"""Run a runtime in a process of its own: whatever becomes of that is outputs, or the reason why there are none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from export.runtimes import child
from export.runtimes.runtime import Runtime
from zoo.io import children, files

GRACE = 120  # seconds besides its own that a runtime has to start, to open the file, and for its last batch
_MOST_SECONDS = 1e6  # that the system can wait for
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from export.runtimes.child import main; main(*sys.argv[2:])"
)


class Refusal(Exception):
    """Why a runtime cannot run a file."""


def run(runtime: Runtime, model: Path, batches: Path, answers: Path, seconds: float) -> list[list[np.ndarray]]:
    """Return the outputs of ``runtime`` for as many batches as it could run in ``seconds``.

    ``batches`` is a folder for :mod:`export.runtimes.child`, and ``answers`` an empty one. Raises :class:`Refusal`,
    whatever the runtime does.
    """
    seconds = float(min(seconds, _MOST_SECONDS))
    command = [
        sys.executable, "-c", _START, json.dumps([str(each) for each in sys.path]), runtime.open.__module__,
        runtime.open.__qualname__, *map(str, (model, batches, answers, seconds)),
    ]  # fmt: skip
    try:
        children.run(command, timeout=seconds + GRACE, stdout=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Refusal(f"it was ended after {seconds + GRACE:,.0f} seconds") from None
    except subprocess.CalledProcessError as error:
        raise Refusal(_end(error.returncode, error.stderr)) from None
    except OSError as error:
        raise Refusal(f"it cannot be started: {error.strerror or error}") from None
    try:
        answer = json.loads(files.read(answers / child.ANSWER))
        outputs = [child.load(answers / f"{number}.npz") for number in range(answer.get("batches", 0))]
    except Exception:  # a damaged file of arrays is one of many errors
        answer, outputs = {}, []
    if not outputs:
        raise Refusal(answer.get("refusal", "it ended without an answer"))
    return outputs


def _end(code: int, errors: str) -> str:
    number = code - 128 if code > 128 else -code  # as shells tell that a signal ended a program, or as Python does
    if number in set(signal.Signals):
        return f"it was ended by {signal.Signals(number).name}"
    return next((line.strip() for line in reversed(errors.splitlines()) if line.strip()), f"it ended with {code}")
