"""A cell or a ceiling in a process of its own: ``python -m bench.sides.worker REQUEST RESULT``, by the runner."""

from __future__ import annotations

import atexit
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.cells import Cell, Until
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.runtime import mx


def main(request: Path, result: Path) -> None:
    """Measure what ``request`` describes in JSON; ``result`` gets what :func:`_answer` gives, or the error."""
    try:
        answer = _answer(json.loads(request.read_text()))
    except ZooError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "out of memory"}
    except mx.base.MXNetError as error:
        answer = {"error": mxnet_reason(error)}
    result.write_text(json.dumps(answer))


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Imports what it needs itself: what it does not need would make every cell's start longer."""
    if "probe" in asked:
        from bench import ceilings

        return {"ceilings": [asdict(each) for each in ceilings.probe(asked["probe"], asked["seconds"])]}
    from zoo.data.named import load_data

    dataset = load_data(asked["data"]).train
    if "profile" in asked:
        from bench import profiling

        found, trace = profiling.profile(Cell(**asked["profile"]), dataset)
        return {"profile": asdict(found), "trace": trace}
    if "latency" in asked:
        from bench import latency

        return {"latency": asdict(latency.measure(Cell(**asked["latency"]), dataset, asked["seconds"], asked["rate"]))}
    from bench.measure import measure

    until = Until(**asked["until"]) if asked["until"] else None
    return {"measurement": asdict(measure(Cell(**asked["cell"]), dataset, asked["seconds"], until))}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    atexit._run_exitfuncs()
    os._exit(0)  # taking MXNet down takes a third of a second
