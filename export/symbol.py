"""MXNet's own exchange format: the graph as JSON beside its parameters."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path

from zoo import files, weights
from zoo.errors import ZooError
from zoo.graph import INPUT_SHAPE
from zoo.runtime import mx


def to_symbol(net: mx.gluon.HybridBlock, prefix: str | os.PathLike, epoch: int = 0) -> tuple[Path, Path]:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-EPOCH.params`` (four digits), and return their paths.

    They load through ``gluon.SymbolBlock.imports``, ``mx.model.load_checkpoint`` and ``mx.mod.Module``.
    A network built with ``mx.sym`` (a ``SymbolBlock``) gets the ``SoftmaxOutput`` head back that Module's
    users train with, and then puts out probabilities; any other puts out what it puts out in Gluon. The
    files appear together, once they have been read back and computed the same bits as ``net``.
    Raises :class:`ZooError` where they cannot be written or do not.
    """
    if not 0 <= epoch <= 9999:
        raise ZooError(f"the epoch in a checkpoint's name has four digits: 0 to 9999, not {epoch}")
    prefix = Path(prefix)
    symbol = net(mx.sym.var("data"))
    if isinstance(net, mx.gluon.SymbolBlock):
        symbol = mx.sym.SoftmaxOutput(symbol, name="softmax")
    graph, content = symbol.tojson(), weights.encode(weights.state(net))
    _verify(net, graph, content)
    files.output_directory(prefix.parent)
    targets = prefix.with_name(f"{prefix.name}-symbol.json"), prefix.with_name(f"{prefix.name}-{epoch:04d}.params")
    with files.atomic(targets[1]) as parameters, files.atomic(targets[0]) as symbol_file:
        parameters.write(content)
        symbol_file.write(graph.encode())
    return targets


def _verify(net: mx.gluon.HybridBlock, graph: str, content: bytes) -> None:
    """Read the files back as another program would, and compare what they compute."""
    pixels = mx.nd.random.uniform(shape=(5, *INPUT_SHAPE))
    context = next(iter(net.collect_params().values())).list_ctx()[0]
    expected = net(pixels.as_in_context(context)).as_in_context(mx.cpu())
    inputs = {"data": pixels}
    if isinstance(net, mx.gluon.SymbolBlock):
        expected = expected.softmax()
        inputs["softmax_label"] = mx.nd.zeros(len(pixels))
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        symbol, parameters = Path(folder) / "net-symbol.json", Path(folder) / "net-0000.params"
        symbol.write_text(graph)
        parameters.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gluon remarks on inputs without a declared type
            loaded = mx.gluon.SymbolBlock.imports(str(symbol), list(inputs), str(parameters))
    if (loaded(*inputs.values()).asnumpy() != expected.asnumpy()).any():
        raise ZooError("the exported symbol does not compute what the network computes, so nothing was written")
