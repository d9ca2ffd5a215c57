"""Runs a cell in a fresh process, and survives whatever becomes of that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.cells import Cell, Measurement, Outcome

_LIMIT = 300  # seconds for one cell, beyond the time it is given to measure


def run(cell: Cell, data: str | None, seconds: float) -> Outcome:
    """Measure ``cell`` for about ``seconds``; if that fails, the outcome holds the reason."""
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return _run_in(Path(folder), cell, data, seconds)
    except OSError as error:
        return Outcome(cell, error=f"could not be started: {error.strerror or error} {error.filename or ''}".strip())


def _run_in(folder: Path, cell: Cell, data: str | None, seconds: float) -> Outcome:
    request, result = folder / "request.json", folder / "result.json"
    request.write_text(json.dumps({"cell": asdict(cell), "data": data, "seconds": seconds}))
    command = [sys.executable, "-m", "bench.worker", str(request), str(result)]
    limit = _LIMIT + 10 * seconds
    with open(folder / "log", "w+b") as log:
        try:
            # A session of its own keeps the terminal's Ctrl-C from it; subprocess.run kills it when it comes here.
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=limit,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(cell, error=f"not done after {limit:.0f} s")
        log.seek(0)
        said = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    if done.returncode < 0:
        return Outcome(cell, error=_killed(-done.returncode))
    try:
        answer = json.loads(result.read_text())
    except (OSError, ValueError):
        return Outcome(cell, error=said[-1] if said else f"the process ended with {done.returncode} and said nothing")
    if "error" in answer:
        return Outcome(cell, error=answer["error"])
    return Outcome(cell, Measurement.from_json(answer["measurement"]))


def _killed(number: int) -> str:
    name = signal.Signals(number).name if number in iter(signal.Signals) else f"signal {number}"
    return f"killed by {name}" + (", most likely for want of memory" if name == "SIGKILL" else "")
