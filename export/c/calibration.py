"""The smallest and largest values within a network for given items."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from export.onnx.int8 import simulation
from zoo.errors import ZooError
from zoo.graph import ir


def ranges(
    source: ir.Graph, weights: dict[str, np.ndarray], wanted: Collection[str], items: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the range of the first output of each operator in ``wanted``, for pixels from 0 to 255 divided by 255."""
    names = [node.name for node in source.nodes() if node.name in wanted and not node.is_variable]
    found = dict.fromkeys(names, (np.inf, -np.inf))
    for values in simulation.run(simulation.internals(source, names), weights, items * np.float32(1 / 255)):
        for name, each in zip(names, values):
            low, high = found[name]
            found[name] = min(low, float(each.min())), max(high, float(each.max()))
            if not np.isfinite(each).all():
                raise ZooError("int8 needs items from which the network computes finite values only, unlike from these")
    return found
