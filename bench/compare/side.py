"""One revision's side: what ``python -m bench`` measures, over the ``zoo`` in the working directory."""

from __future__ import annotations

from dataclasses import asdict

from bench.peers.wire import Prepared, serve


def prepare(request: dict) -> Prepared:
    from bench.cells import Cell
    from bench.measure import Workload
    from zoo.cli.options import load_data

    workload = Workload(Cell(**request["cell"]), load_data(request["data"]).train)

    return Prepared(lambda batches: asdict(workload.run(batches)), dict)


if __name__ == "__main__":
    serve(prepare)
