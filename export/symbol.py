"""MXNet's own exchange format: the graph as JSON beside its parameters."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from export import inference
from export.inference import InputShape
from zoo.errors import ZooError
from zoo.graph import lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.ir import Graph, interface, is_numpy
from zoo.graph.shapes import Shape
from zoo.io import files, temporary
from zoo.models import params
from zoo.runtime import mx

# Notes in the symbol's file, which MXNet ignores: its files are replaced one after the other, and whoever reads them
# sees by these whether both were.
EPOCH, WEIGHTS = "zoo_epoch", "zoo_weights_sha256"


def to_symbol(
    net: mx.gluon.HybridBlock,
    prefix: str | os.PathLike[str],
    epoch: int = 0,
    input_shape: InputShape = INPUT_SHAPE,
) -> tuple[Path, Path]:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-EPOCH.params`` (four digits), and return their paths.

    They load through ``gluon.SymbolBlock.imports``, ``mx.model.load_checkpoint`` and ``mx.mod.Module``. A network built
    with ``mx.sym`` (a ``SymbolBlock``) that ends in ``FullyConnected`` gets back the ``SoftmaxOutput`` head that users
    of Module train with, and then returns probabilities; any other network returns the same outputs as in Gluon. The
    casts of MXNet's AMP are kept. The files are written only after they have been read back and compute what ``net``
    computes when hybridized, bit for bit on the CPU. Raises :class:`ZooError` if they do not, if a weight is not
    finite, or if the files cannot be written.
    """
    paths = names(prefix, epoch)
    contents = encode(net, input_shape, epoch)
    for path in paths:
        files.output_file(path)
    files.write_together(dict(zip(paths, contents)))
    return paths


def names(prefix: str | os.PathLike[str], epoch: int = 0) -> tuple[Path, Path]:
    """Return the paths of a checkpoint's two files."""
    if not inference.is_whole(epoch) or not 0 <= epoch <= 9999:
        raise ZooError(f"the epoch in a checkpoint's name has four digits: 0 to 9999, not {epoch}")
    prefix = Path(prefix)
    if not prefix.name:
        raise ZooError(f"{str(prefix)!r} is no prefix: the names of a checkpoint's files begin with a word")
    return prefix.with_name(f"{prefix.name}-symbol.json"), prefix.with_name(f"{prefix.name}-{epoch:04d}.params")


def encode(net: mx.gluon.HybridBlock, input_shape: InputShape = INPUT_SHAPE, epoch: int = 0) -> tuple[bytes, bytes]:
    """Return the contents of the files that :func:`to_symbol` writes, after reading them back and comparing."""
    inputs = inference.input_shapes(input_shape)
    state = inference.finite_state(net, inputs)
    inference.check_takes(net, state, inputs)
    symbol = inference.symbol_of(net, inputs)
    numpy = is_numpy(symbol)
    content = params.encode(state, numpy)
    headed = isinstance(net, mx.gluon.SymbolBlock) and not numpy and _ends_in_logits(symbol)
    if headed:
        symbol = mx.sym.SoftmaxOutput(symbol, name="softmax")
    with interface(numpy):  # which MXNet notes in the file
        nodes, key, notes = symbol.tojson(remove_amp_cast=False).rpartition('"attrs": {')  # the graph's own come last
    notes = f'"{EPOCH}": ["int", {epoch:d}], "{WEIGHTS}": ["str", "{files.hexdigest(params.encode(state))}"], {notes}'
    graph = f"{nodes}{key}{notes}".encode()
    with interface(numpy):
        _verify(net, graph, content, headed, inputs)
    return graph, content


def _ends_in_logits(symbol: mx.sym.Symbol) -> bool:
    heads = Graph.of(symbol).heads
    return len(heads) == 1 and heads[0][0].operator == "FullyConnected"


def _verify(net: mx.gluon.HybridBlock, graph: bytes, content: bytes, headed: bool, shapes: Mapping[str, Shape]) -> None:
    """Read the files back as another program would, and compare what they compute."""
    context = inference.context_of(net)
    random, array = np.random.default_rng(0), (mx.np if mx.util.is_np_array() else mx.nd).array
    inputs = {name: array(random.random((5, *shape), np.float32), ctx=context) for name, shape in shapes.items()}
    # A network that is not hybridized runs one operator at a time, and may round differently.
    lowers = not isinstance(net, mx.gluon.SymbolBlock)
    plain = lowering.block(inference.symbol_of(net, shapes), net, tuple(shapes)) if lowers else net
    expected = plain(*inputs.values())
    if headed:
        expected = expected.softmax()
        inputs["softmax_label"] = mx.nd.zeros(5, ctx=context)
    with temporary.folder() as folder:
        symbol, parameters = names(folder / "net")
        symbol.write_bytes(graph)
        parameters.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gluon warns of inputs without a declared type
            loaded = mx.gluon.SymbolBlock.imports(str(symbol), list(inputs), str(parameters), ctx=context)
    difference = _difference(loaded(*inputs.values()), expected)
    if not difference <= (0 if context.device_type == "cpu" else 1e-4):  # a GPU may choose other algorithms
        raise ZooError(
            f"the exported symbol's outputs differ from the network's by {difference:g}, so nothing was written"
        )


def _difference(
    computed: mx.nd.NDArray | Sequence[mx.nd.NDArray], expected: mx.nd.NDArray | Sequence[mx.nd.NDArray]
) -> float:
    pairs = zip(*(each if isinstance(each, (list, tuple)) else [each] for each in (computed, expected)))
    return float(np.max([np.abs(one.asnumpy() - other.asnumpy()).max() for one, other in pairs]))  # nan if one is
