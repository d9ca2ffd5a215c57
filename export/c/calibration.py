"""The smallest and largest values within a network for given items."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from zoo.graph import ir, lowering
from zoo.runtime import mx

_BATCH = 50


def ranges(
    source: ir.Graph, weights: dict[str, np.ndarray], names: Iterable[str], items: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the range of the first output of each operator in ``names``, for pixels from 0 to 255 divided by 255."""
    wanted = set(names)
    nodes = [node for node in source.nodes() if node.name in wanted and not node.is_variable]
    symbol = ir.Graph([(node, 0) for node in nodes]).symbol()
    network = lowering.block(symbol)
    for name, parameter in network.collect_params().items():
        parameter.shape = weights[name].shape
        parameter.initialize(mx.init.Zero(), ctx=mx.cpu())
        parameter.set_data(mx.nd.array(weights[name]))
    found = {node.name: (np.inf, -np.inf) for node in nodes}
    for start in range(0, len(items), _BATCH):
        outputs = network(mx.nd.array(items[start : start + _BATCH] * np.float32(1 / 255)))
        for node, output in zip(nodes, outputs if len(nodes) > 1 else [outputs]):
            low, high = found[node.name]
            values = output.asnumpy()
            found[node.name] = (min(low, float(values.min())), max(high, float(values.max())))
    return found
