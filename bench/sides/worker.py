"""A cell or a ceiling in a process of its own, which answers its one request and ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench.cells import Cell, Until
from bench.sides.wire import reply


def measured(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is asked for; imports what that needs: the rest would make every cell's start longer."""
    if "probe" in asked:
        from bench import ceilings

        yield {"ceilings": [asdict(each) for each in ceilings.probe(asked["probe"], asked["seconds"])]}
        return
    from zoo.data.named import load_data

    dataset = load_data(asked["data"]).train
    if "profile" in asked:
        from bench import profiling

        found, trace = profiling.profile(Cell(**asked["profile"]), dataset)
        yield {"profile": asdict(found), "trace": trace}
    elif "latency" in asked:
        from bench import latency

        waited = latency.measure(Cell(**asked["latency"]), dataset, asked["seconds"], asked["rate"])
        yield {"latency": asdict(waited)}
    else:
        from bench.measure import measure

        until = Until(**asked["until"]) if asked["until"] else None
        yield {"measurement": asdict(measure(Cell(**asked["cell"]), dataset, asked["seconds"], until))}


if __name__ == "__main__":
    reply(measured)
