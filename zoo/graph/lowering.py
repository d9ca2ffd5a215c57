"""From a network as its author wrote it to the graph that computes the same faster.

The graphs share the network's parameters, which stay in float32, so that training one trains the other. What is
saved or exported is always the network itself: with its plain Dropout, and nothing of what is done here.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from zoo import kernels
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.ir import Graph, Node, Output
from zoo.graph.passes import casting
from zoo.runtime import cpus, mx
from zoo.runtime.dtypes import DTYPES

_BFLOAT16, _FLOAT16, _FLOAT32 = "bfloat16", "float16", "float32"


def resolve(dtype: str, net: mx.gluon.HybridBlock | None, contexts: Sequence[mx.Context]) -> str:
    """One of :data:`DTYPES`: "auto" becomes what is faster for ``net`` (asked for then only) on these contexts here.

    That is bfloat16 where the kernels for AMX do all convolutions and fully connected layers. float16 is for those who
    ask for it: MXNet has it on GPUs only, and only some GPUs are faster with it.

    Raises :class:`ZooError` if ``dtype`` is unknown, or cannot be computed in on one of the contexts.
    """
    on_cpu = _are_all(contexts, "cpu")
    if dtype == "auto":
        return _BFLOAT16 if on_cpu and kernels.available().convolution and _suits_amx(net) else _FLOAT32
    if dtype not in DTYPES:
        raise ZooError(f"the dtype must be one of auto, {', '.join(DTYPES)}, not {dtype!r}")
    if dtype == _BFLOAT16 and not on_cpu:
        raise ZooError("bfloat16 runs on CPUs only: take float32 on a GPU")
    if dtype == _FLOAT16 and not _are_all(contexts, "gpu"):
        raise ZooError("float16 runs on GPUs only: take float32 on a CPU")
    if dtype == _BFLOAT16 and "avx512bw" not in cpus.flags():
        raise ZooError("bfloat16 needs a processor with AVX-512: take float32 here")
    return dtype


def _are_all(contexts: Sequence[mx.Context], device_type: str) -> bool:
    return all(context.device_type == device_type for context in contexts)


def _suits_amx(net: mx.gluon.HybridBlock) -> bool:
    graph = Graph.of(net(mx.sym.var("data")))
    _lower_convolutions(graph, _ranks(graph, INPUT_SHAPE))
    operators = {node.operator for node in graph.nodes()}
    return "zoo_convolution" in operators and not operators & casting.LAYERS


def for_training(
    net: mx.gluon.HybridBlock, dtype: str, contexts: Sequence[mx.Context], input_shape: tuple[int, ...] = INPUT_SHAPE
) -> mx.gluon.HybridBlock:
    """A block that trains the parameters of ``net`` in ``dtype``, or ``net`` itself where there is nothing to gain."""
    usable = _are_all(contexts, "cpu") and kernels.available().usable
    if dtype == _FLOAT32 and not usable:
        return net
    graph = Graph.of(net(mx.sym.var("data")))
    if usable:
        ranks = _ranks(graph, input_shape)
        _fuse_chains(graph, ranks)
        _lower_dropout(graph)
        if dtype == _BFLOAT16 and kernels.available().convolution:
            _lower_convolutions(graph, ranks)
    if dtype != _FLOAT32:
        casting.cast(graph, dtype)
    return block(graph.symbol(), net)


def for_inference(
    net: mx.gluon.HybridBlock, dtype: str, contexts: Sequence[mx.Context], input_shape: tuple[int, ...] = INPUT_SHAPE
) -> mx.gluon.HybridBlock:
    """A block that predicts what ``net`` predicts now, in ``dtype``.

    On CPUs, operators are fused: by oneDNN in float32, in bfloat16 on AMX by this project's kernels. oneDNN's keep the
    weights of their first call, so that the block is for the weights as they are.
    """
    on_cpu = _are_all(contexts, "cpu")
    if dtype == _FLOAT32 and not on_cpu:
        return net
    graph = without_dropout(net)
    if dtype == _FLOAT32:
        return block(graph.symbol().optimize_for("MKLDNN"), net)
    if on_cpu and kernels.available().convolution:
        _lower_convolutions(graph, _ranks(graph, input_shape), for_inference=True)
        _join_convolutions(graph)
    casting.cast(graph, dtype)
    return block(graph.symbol(), net)


def without_dropout(net: mx.gluon.HybridBlock) -> Graph:
    graph = Graph.of(net(mx.sym.var("data")))
    for node in [node for node in graph.nodes() if _is_plain_dropout(node)]:
        graph.replace(node, node.inputs[0])
    return graph


def block(symbol: mx.sym.Symbol, net: mx.gluon.HybridBlock | None = None) -> mx.gluon.SymbolBlock:
    """``symbol`` as a block, over the parameters of ``net`` if there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gluon remarks on inputs without a declared type
        parameters = net.collect_params() if net is not None else None
        return mx.gluon.SymbolBlock(symbol, [mx.sym.var("data")], params=parameters)


def _ranks(graph: Graph, input_shape: tuple[int, ...]) -> dict[str, int]:
    """The number of dimensions of every node's first output, by the node's name."""
    internals = graph.symbol().get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, *input_shape))
    ranks: dict[str, int] = {}
    for name, shape in zip(internals.list_outputs(), shapes):
        for ending in ("_output0", "_output", ""):
            if name.endswith(ending):
                ranks.setdefault(name[: len(name) - len(ending)], len(shape))
                break
    return ranks


class _Matcher:
    """Walks along nodes whose only consumer is the next one."""

    def __init__(self, graph: Graph) -> None:
        self._consumers = graph.consumers()
        self._heads = {id(node) for node, _ in graph.heads}

    def is_shared(self, node: Node) -> bool:
        return len(self._consumers.get(id(node), [])) + (id(node) in self._heads) > 1

    def next(self, node: Node) -> Node | None:
        """The one node that takes the output of ``node``, None if there are more or it is the end."""
        following = self._consumers.get(id(node), [])
        return following[0] if len(following) == 1 and id(node) not in self._heads else None


def _activation(node: Node | None) -> str | None:
    kind = node.attributes.get("act_type") if node is not None and node.operator == "Activation" else None
    return kind if kind in ("tanh", "relu") else None


def _is_plain_dropout(node: Node) -> bool:
    always = node.attributes.get("mode", "training") != "training"
    return node.operator == "Dropout" and not always and node.attributes.get("axes", "()") == "()"


def _is_halving(node: Node | None) -> bool:
    """Max pooling, 2 x 2 with stride 2."""
    if node is None or node.operator != "Pooling":
        return False
    return (
        node.attributes.get("pool_type", "max") == "max"
        and not node.is_set("global_pool")
        and node.attributes.get("pooling_convention", "valid") == "valid"
        and (node.pair("kernel", 0), node.pair("stride", 1), node.pair("pad", 0)) == ((2, 2), (2, 2), (0, 0))
    )


def _fuse_chains(graph: Graph, ranks: dict[str, int]) -> None:
    """[activation] [Dropout] BatchNorm [ReLU] [pooling] of images, one after the other, become one node."""
    for norm in [node for node in graph.nodes() if node.operator == "BatchNorm"]:
        if ranks[norm.name] != 4 or norm.attributes.get("axis", "1") != "1" or norm.is_set("use_global_stats"):
            continue
        matcher = _Matcher(graph)
        attributes = {
            "epsilon": norm.attributes.get("eps", "0.001"),
            "momentum": norm.attributes.get("momentum", "0.9"),
            "fix_gamma": str(norm.is_set("fix_gamma", True)),
        }
        source, output = norm.inputs[0]
        if _is_plain_dropout(source) and not matcher.is_shared(source):
            attributes["dropout"] = source.attributes.get("p", "0.5")
            source, output = source.inputs[0]
        if _activation(source) and not matcher.is_shared(source):
            attributes["activation"] = _activation(source)
            source, output = source.inputs[0]
        if matcher.is_shared(source):  # MXNet would add up its gradients in place, which extensions cannot
            continue
        last = norm
        if _activation(matcher.next(last)) == "relu":
            attributes["relu"] = "True"
            last = matcher.next(last)
        if _is_halving(matcher.next(last)):
            attributes["pool"] = "True"
            last = matcher.next(last)
        graph.replace(last, (Node("zoo_chain", norm.name, attributes, [(source, output), *norm.inputs[1:]]), 0))


def _lower_dropout(graph: Graph) -> None:
    for node in [node for node in graph.nodes() if _is_plain_dropout(node)]:
        if not _Matcher(graph).is_shared(node.inputs[0][0]):
            lowered = Node("zoo_dropout", node.name, {"dropout": node.attributes.get("p", "0.5")}, list(node.inputs))
            graph.replace(node, (lowered, 0))


def _lower_convolutions(graph: Graph, ranks: dict[str, int], for_inference: bool = False) -> None:
    """Convolution [activation], for inference also [BatchNorm] [ReLU] [pooling], become ``zoo_convolution``.

    So do fully connected layers: convolutions of images of one pixel.
    """
    for dense in [node for node in graph.nodes() if node.operator == "FullyConnected"]:
        matcher = _Matcher(graph)
        flattens = dense.is_set("flatten", True) or ranks[dense.inputs[0][0].name] == 2
        if not flattens or _adds_gradients(matcher, dense.inputs[0]):
            continue
        while dense.inputs[0][0].operator == "Flatten":  # the operator does that itself
            dense.inputs[0] = dense.inputs[0][0].inputs[0]
        attributes = {"flat": "True", "num_filter": dense.attributes["num_hidden"]}
        _lower(graph, dense, attributes, for_inference)
    for conv in [node for node in graph.nodes() if node.operator == "Convolution"]:
        kernel, pad = conv.pair("kernel", 1), conv.pair("pad", 0)
        plain = (conv.pair("stride", 1), conv.pair("dilate", 1)) == ((1, 1), (1, 1))
        matcher = _Matcher(graph)
        if (
            ranks[conv.name] != 4
            or not plain
            or conv.attributes.get("num_group", "1") != "1"
            or any(p >= k for p, k in zip(pad, kernel))
            or _adds_gradients(matcher, conv.inputs[0])
        ):
            continue
        attributes = {
            "kernel": str(kernel),
            "pad": str(pad),
            "num_filter": conv.attributes["num_filter"],
        }
        _lower(graph, conv, attributes, for_inference)


def _lower(graph: Graph, layer: Node, attributes: dict[str, str], for_inference: bool) -> None:
    """Replace ``layer`` and what can be done along with it."""
    matcher = _Matcher(graph)
    inputs, last = list(layer.inputs), layer
    attributes["no_bias"] = str(layer.is_set("no_bias"))
    attributes["first"] = str(not _has_parameters(layer.inputs[0]))
    if _activation(matcher.next(last)):
        last = matcher.next(last)
        attributes["activation"] = _activation(last)
    norm = matcher.next(last)
    if for_inference and norm is not None and norm.operator == "BatchNorm" and norm.attributes.get("axis", "1") == "1":
        attributes["norm"] = "True"
        attributes["epsilon"] = norm.attributes.get("eps", "0.001")
        attributes["fix_gamma"] = str(norm.is_set("fix_gamma", True))
        inputs += norm.inputs[1:]
        last = norm
    if for_inference and _activation(matcher.next(last)) == "relu":
        last = matcher.next(last)
        attributes["relu"] = "True"
    if for_inference and _is_halving(matcher.next(last)):
        last = matcher.next(last)
        attributes["pool"] = "True"
    graph.replace(last, (Node("zoo_convolution", layer.name, attributes, inputs), 0))


def _join_convolutions(graph: Graph) -> None:
    """Runs of ``zoo_convolution``, with what inference does along with them, become one ``zoo_network`` each."""
    for last in [node for node in graph.nodes() if node.operator == "zoo_convolution"]:
        matcher = _Matcher(graph)
        following = matcher.next(last)
        if following is not None and following.operator == "zoo_convolution":
            continue
        run = [last]
        while run[0].inputs[0][0].operator == "zoo_convolution" and not matcher.is_shared(run[0].inputs[0][0]):
            run.insert(0, run[0].inputs[0][0])
        attributes = {"layers": str(len(run))}
        inputs = run[0].inputs[:1]
        for number, layer in enumerate(run):
            attributes.update({f"{name}_{number}": value for name, value in layer.attributes.items()})
            inputs += layer.inputs[1:]
        graph.replace(last, (Node("zoo_network", last.name, attributes, inputs), 0))


def _adds_gradients(matcher: _Matcher, output: Output) -> bool:
    """Whether several nodes put out gradients for ``output``, which MXNet adds up in place: extensions cannot."""
    return matcher.is_shared(output[0]) and _has_parameters(output)


def _has_parameters(output: Output) -> bool:
    """Whether anything that is trained lies behind ``output``, so that a gradient must go through it."""
    return any(node.is_variable and node.name != "data" for node in Graph([output]).nodes())
