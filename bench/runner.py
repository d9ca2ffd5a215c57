"""Runs a cell or measures a ceiling in a fresh process, and survives whatever becomes of that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.cells import Ceiling, Cell, Measurement, Outcome

_LIMIT = 300  # seconds for one process, beyond the time it is given to measure


def run(cell: Cell, data: str | None, seconds: float) -> Outcome:
    """Measure ``cell`` for about ``seconds``; if that fails, the outcome holds the reason."""
    answer = _ask({"cell": asdict(cell), "data": data, "seconds": seconds})
    if "error" in answer:
        return Outcome(cell, error=answer["error"])
    return Outcome(cell, Measurement.from_json(answer["measurement"]))


def probe(what: str, seconds: float) -> list[Ceiling]:
    """Measure one of :data:`bench.ceilings.PROBES` for about ``seconds``; if that fails, it holds the reason."""
    answer = _ask({"probe": what, "seconds": seconds})
    if "error" in answer:
        return [Ceiling(what, None, answer["error"])]
    return [Ceiling(**each) for each in answer["ceilings"]]


def _ask(request: dict) -> dict:
    """The worker's answer; under the key "error" the reason why there is none."""
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            return _ask_in(Path(folder), request)
    except OSError as error:
        return {"error": f"could not be started: {error.strerror or error} {error.filename or ''}".strip()}


def _ask_in(folder: Path, request: dict) -> dict:
    asked, result = folder / "request.json", folder / "result.json"
    asked.write_text(json.dumps(request))
    command = [sys.executable, "-m", "bench.worker", str(asked), str(result)]
    limit = _LIMIT + 10 * request["seconds"]
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
            return {"error": f"not done after {limit:.0f} s"}
        log.seek(0)
        said = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    if done.returncode < 0:
        return {"error": _killed(-done.returncode)}
    try:
        return json.loads(result.read_text())
    except (OSError, ValueError):
        return {"error": said[-1] if said else f"the process ended with {done.returncode} and said nothing"}


def _killed(number: int) -> str:
    name = signal.Signals(number).name if number in iter(signal.Signals) else f"signal {number}"
    return f"killed by {name}" + (", most likely for want of memory" if name == "SIGKILL" else "")
