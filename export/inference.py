"""The inference graph of a network, with its inputs and without labels."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from math import prod
from operator import index
from typing import Union

import numpy as np

from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.graph import ir, shapes
from zoo.graph.ir import INPUTS, Graph, Node
from zoo.graph.shapes import Shape
from zoo.models import weights
from zoo.runtime import mx

(INPUT,) = INPUTS
InputShape = Union[Shape, Mapping[str, Shape]]  # of one item, for one input or by the names of several
_OTHER_FLOATS = (np.dtype(np.float16), np.dtype(np.float64))
_MOST_ELEMENTS = 2**31  # of an array in MXNet 1.9.1 as distributed
_MOST_DIMENSIONS = 32  # of an array in NumPy 1
# Training heads: operators that exist for their gradients, and what they compute at inference.
_HEADS = {
    "LinearRegressionOutput": "_copy",
    "LogisticRegressionOutput": "sigmoid",
    "MAERegressionOutput": "_copy",
    "SVMOutput": "_copy",
    "SoftmaxOutput": "SoftmaxActivation",
}


def graph_of(net: mx.gluon.HybridBlock, inputs: Collection[str] = INPUTS) -> Graph:
    """Return the graph of ``net`` from its ``inputs``, with training heads replaced by what they compute."""
    return without_heads(Graph.of(symbol_of(net, inputs), casts=False))


def symbol_of(net: mx.gluon.HybridBlock, inputs: Collection[str] = INPUTS) -> mx.sym.Symbol:
    """Return all outputs of ``net`` as a symbol of its ``inputs``; :class:`ZooError` if it has no such symbol."""
    if not isinstance(net, mx.gluon.HybridBlock):
        raise ZooError(f"the network must be a HybridBlock of Gluon's, and is of the type {type(net).__name__}")
    try:
        symbol = ir.symbol_of(net, tuple(inputs))
    except Exception as error:  # the network's own code runs here
        taken = f"{len(inputs)} inputs, {', '.join(inputs)}," if len(inputs) > 1 else "one input, the data,"
        called = "them" if len(inputs) > 1 else "one"
        raise ZooError(
            f"the network must take {taken} and cannot be called with {called} ({mxnet_reason(error)})"
        ) from None
    unused = [name for name in inputs if name not in symbol.list_inputs()]
    if unused == [INPUT]:
        raise ZooError("the network must compute something from its data, and its outputs do not depend on them")
    if unused:
        raise ZooError(f"the network's outputs do not depend on its input {unused[0]}")
    shared = [name for name in inputs if name in net.collect_params()]
    if shared:
        raise ZooError(f"the network has a parameter with the name of an input, {shared[0]}: choose another name")
    return symbol


def forward(net: mx.gluon.HybridBlock, inputs: Sequence[str] = INPUTS) -> Callable[..., list[np.ndarray]]:
    """Return a function that computes the outputs of ``net`` from an array for each of its ``inputs``.

    It does so in the network's own interface and on its own context.
    """
    numpy, context = ir.is_numpy(symbol_of(net, inputs)), context_of(net)

    def compute(*arrays: np.ndarray) -> list[np.ndarray]:
        with ir.interface(numpy):
            given = [mx.nd.array(each, ctx=context, dtype=each.dtype) for each in arrays]
            outputs = net(*(each.as_np_ndarray() if numpy else each for each in given))
            return [each.asnumpy() for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]

    return compute


def context_of(net: mx.gluon.HybridBlock) -> mx.Context:
    """Return the first context of the parameters of ``net``; that of a network without parameters is the CPU."""
    return next((each.list_ctx()[0] for each in net.collect_params().values()), mx.cpu())


def is_whole(value: object) -> bool:
    """Whether ``value`` is an integer of Python's or NumPy's, and no Boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def input_shapes(shapes: object) -> dict[str, Shape]:
    """Return the shape of one item of every input by name; a shape that comes without a name is that of "data"."""
    if not isinstance(shapes, Mapping):
        return {INPUT: item_shape(shapes)}
    names = [name for name in shapes if not isinstance(name, str) or not name or not name.isprintable()]
    if names or not shapes:
        raise ZooError(f"the input shapes must be one by name, such as {{'data': (1, 28, 28)}}, not {str(shapes)[:60]}")
    return {name: item_shape(shape) for name, shape in shapes.items()}


def item_shape(shape: object) -> Shape:
    """Return ``shape``, that of one input without the batch, as a tuple; raises :class:`ZooError` if it is none."""
    try:
        sizes = tuple(map(index, shape))  # type: ignore[call-overload]
    except TypeError:
        sizes = (0,)
    if min(sizes, default=1) < 1 or prod(sizes) >= _MOST_ELEMENTS or len(sizes) >= _MOST_DIMENSIONS:
        raise ZooError(f"the input shape is that of one item, such as (1, 28, 28), and cannot be {str(shape)[:60]}")
    return sizes


def check_fit(graph: Graph, arrays: Mapping[str, np.ndarray], inputs: Mapping[str, Shape]) -> None:
    """Raise :class:`ZooError` unless ``graph`` can compute with ``arrays`` from float32 ``inputs`` of these shapes."""
    given = {name: (1, *shape) for name, shape in inputs.items()}
    shapes.infer(graph, {**given, **{name: array.shape for name, array in arrays.items()}})
    dtypes(graph.symbol(), arrays, inputs)


def check_takes(net: mx.gluon.HybridBlock, state: Mapping[str, np.ndarray], inputs: Mapping[str, Shape]) -> None:
    """Raise :class:`ZooError` unless ``net``, whose :func:`~zoo.models.weights.state` this is, takes such data."""
    arrays = {name.split(":", 1)[1]: array for name, array in state.items()}
    try:
        check_fit(Graph.of(symbol_of(net, inputs)), arrays, inputs)
    except ZooError as error:
        raise ZooError(f"the network does not take float32 data of the shape {described(inputs)}: {error}") from None


def described(inputs: Mapping[str, Shape]) -> str:
    """Return the shapes of ``inputs`` as messages have them: without the name if that is "data"."""
    return ", ".join(str(shape) if name == INPUT else f"{shape} as {name}" for name, shape in inputs.items())


def dtypes(symbol: mx.sym.Symbol, arrays: Mapping[str, np.ndarray], inputs: Collection[str] = INPUTS) -> list[np.dtype]:
    """Return the dtypes of the outputs of ``symbol`` for float32 ``inputs`` and the weights ``arrays``."""
    given = {name: arrays[name].dtype for name in symbol.list_arguments() if name in arrays}
    try:
        with contextlib.redirect_stdout(None), warnings.catch_warnings():  # MXNet prints the arguments it refuses
            warnings.simplefilter("ignore")
            _, found, _ = symbol.infer_type(**dict.fromkeys(inputs, np.float32), **given)
    except mx.base.MXNetError as error:
        other = (f"{name} is {each} and should be float32" for name, each in given.items() if each in _OTHER_FLOATS)
        raise ZooError(next(other, mxnet_reason(error))) from None
    if found is None:
        raise ZooError("the dtypes do not follow from float32 data")
    return [np.dtype(each) for each in found]


def without_heads(graph: Graph) -> Graph:
    """Replace ``SoftmaxOutput`` and similar heads of ``graph``, which removes their labels; returns ``graph``."""
    for node in [node for node in graph.nodes() if node.operator in _HEADS]:
        operator, attributes = _HEADS[node.operator], {}
        if node.is_set("multi_output"):
            attributes["mode"] = "channel"
        elif node.is_set("preserve_shape"):
            operator = "softmax"  # over the last axis
        graph.replace(node, (Node(operator, node.name, attributes, node.inputs[:1]), 0))
    return graph


def label_names(graph: Graph) -> set[str]:
    """Return the variables that are used only as labels of training heads."""
    labels: set[str] = set()
    others = {node.name for node, _ in graph.heads}
    for node in graph.nodes():
        for position, (source, _) in enumerate(node.inputs):
            if source.is_variable:
                (labels if node.operator in _HEADS and position == 1 else others).add(source.name)
    return labels - others


def state(net: mx.gluon.HybridBlock, inputs: Collection[str] = INPUTS) -> dict[str, np.ndarray]:
    """Return :func:`zoo.models.weights.state` of what :func:`symbol_of` accepts."""
    symbol_of(net, inputs)
    return weights.state(net, tuple(inputs))


def finite_state(net: mx.gluon.HybridBlock, inputs: Collection[str] = INPUTS) -> dict[str, np.ndarray]:
    """Return :func:`zoo.models.weights.state`; :class:`ZooError` names a weight with values that are not finite."""
    arrays = state(net, inputs)
    weights.check_finite(arrays, "the network cannot be exported")
    return arrays
