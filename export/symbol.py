"""MXNet's own exchange format: the graph as JSON beside its parameters."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from zoo import files, weights
from zoo.errors import ZooError
from zoo.graph import INPUT_SHAPE
from zoo.runtime import mx


def to_symbol(net: mx.gluon.HybridBlock, prefix: str | os.PathLike, epoch: int = 0) -> tuple[Path, Path]:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-EPOCH.params`` (four digits), and return their paths.

    They load through ``gluon.SymbolBlock.imports``, ``mx.model.load_checkpoint`` and ``mx.mod.Module``.
    A network built with ``mx.sym`` (a ``SymbolBlock``) gets the ``SoftmaxOutput`` head back that Module's
    users train with, and then puts out probabilities; any other puts out what it puts out in Gluon. The
    files appear once they have been read back and computed what ``net`` computes: on the CPU the same
    bits. Raises :class:`ZooError` where they do not, where a weight is not finite, and where they cannot
    be written.
    """
    if not 0 <= epoch <= 9999:
        raise ZooError(f"the epoch in a checkpoint's name has four digits: 0 to 9999, not {epoch}")
    prefix = Path(prefix)
    arrays = weights.state(net)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ZooError(f"the network cannot be exported: {name} holds values that are not finite")
    symbol = net(mx.sym.var("data"))
    if isinstance(net, mx.gluon.SymbolBlock):
        symbol = mx.sym.SoftmaxOutput(symbol, name="softmax")
    graph, content = symbol.tojson(), weights.encode(arrays)
    _verify(net, graph, content)
    symbol_path = files.output_file(prefix.with_name(f"{prefix.name}-symbol.json"))
    parameters_path = files.output_file(prefix.with_name(f"{prefix.name}-{epoch:04d}.params"))
    with files.atomic(symbol_path) as symbol_file, files.atomic(parameters_path) as parameters_file:
        symbol_file.write(graph.encode())
        parameters_file.write(content)
    return symbol_path, parameters_path


def _verify(net: mx.gluon.HybridBlock, graph: str, content: bytes) -> None:
    """Read the files back as another program would, and compare what they compute."""
    context = next(iter(net.collect_params().values())).list_ctx()[0]
    pixels = mx.nd.array(np.random.default_rng(0).random((5, *INPUT_SHAPE), np.float32), ctx=context)
    expected = net(pixels)
    inputs = {"data": pixels}
    if isinstance(net, mx.gluon.SymbolBlock):
        expected = expected.softmax()
        inputs["softmax_label"] = mx.nd.zeros(len(pixels), ctx=context)
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        symbol, parameters = Path(folder) / "net-symbol.json", Path(folder) / "net-0000.params"
        symbol.write_text(graph)
        parameters.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gluon remarks on inputs without a declared type
            loaded = mx.gluon.SymbolBlock.imports(str(symbol), list(inputs), str(parameters), ctx=context)
    difference = np.abs(loaded(*inputs.values()).asnumpy() - expected.asnumpy()).max()
    if difference > (0 if context.device_type == "cpu" else 1e-4):  # a GPU may choose other algorithms
        raise ZooError(
            f"the exported symbol's outputs differ from the network's by {difference:g}, so nothing was written"
        )
