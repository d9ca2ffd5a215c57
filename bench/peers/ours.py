"""This project's side: the loop behind ``zoo.fit``."""

from __future__ import annotations

from bench.peers.wire import Runner, serve


def prepare(request: dict) -> Runner:
    from bench.cells import Cell
    from bench.measure import Workload
    from zoo.cli.options import load_data

    cell = Cell(request["model"], "cpu(0)", "float32", request["batch_size"], "train")
    workload = Workload(cell, load_data(request["data"]).train)

    def run(batches: int) -> dict:
        done = workload.run(batches)
        return {"seconds": done.seconds, "images": done.images}

    return run


if __name__ == "__main__":
    serve(prepare)
