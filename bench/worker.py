"""One cell in a process of its own, started by ``bench.runner``: ``python -m bench.worker REQUEST RESULT``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.cells import Cell
from bench.measure import measure
from zoo.cli.options import load_data
from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.runtime import mx


def main(request: Path, result: Path) -> None:
    """Measure the cell that ``request`` describes in JSON; ``result`` gets the measurement or the error."""
    asked = json.loads(request.read_text())
    try:
        dataset = load_data(asked["data"]).train
        answer = {"measurement": asdict(measure(Cell(**asked["cell"]), dataset, asked["seconds"]))}
    except ZooError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "out of memory"}
    except mx.base.MXNetError as error:
        answer = {"error": mxnet_reason(error)}
    result.write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
