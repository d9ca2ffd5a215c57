"""One revision's side: what ``python -m bench`` measures, with the ``zoo`` in the working directory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Create the cell's workload; raises :class:`ZooError` if ``zoo`` does not come from the working directory."""
    import zoo
    from bench.cells import Cell
    from bench.measure import Workload
    from zoo.errors import ZooError

    if not Path(zoo.__file__).is_relative_to(Path.cwd()):
        raise ZooError(f"zoo comes from {zoo.__file__} and not from this revision in {Path.cwd()}")
    from zoo.data.named import load_data

    workload = Workload(Cell(**request["cell"]), load_data(request["data"]).train)

    return Prepared(lambda batches: asdict(workload.run(batches)), dict)


if __name__ == "__main__":
    serve(prepare)
