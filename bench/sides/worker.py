"""Measures a cell or a ceiling in its own process, which answers one request and exits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench.cells import Cell, Until
from bench.sides.wire import reply


def measured(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is asked for; imports only what that needs, as the rest would delay the start of every cell."""
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
