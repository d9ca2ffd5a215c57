"""Read MXNet's exchange format, checked before MXNet sees it, because a damaged graph can crash the process there."""

from __future__ import annotations

import ctypes
import json
import os
import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export import inference
from export.inference import InputShape
from export.symbol import EPOCH, WEIGHTS, names
from zoo.console import mxnet_reason
from zoo.errors import WeightsError, ZooError
from zoo.graph import lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.ir import Graph, interface
from zoo.graph.shapes import Shape
from zoo.io import files
from zoo.models import params as parameter_files
from zoo.models import weights
from zoo.runtime import mx

_ENDING = "-symbol.json"
_ATTRIBUTES = ("attrs", "attr", "param")  # MXNet's names for attributes, from 0.11 on and before
_ANNOTATIONS = ("ctx_group", "force_mirroring", "lr_mult", "wd_mult")  # in old files, without underscores
# MXNet divides by these, or creates that many of something, without checking them.
COUNTS = {
    "block_size", "dilate", "kernel", "num_args", "num_group", "num_groups", "num_outputs", "output_size", "scale",
    "stride",
}  # fmt: skip
LARGEST_COUNT = 100_000
_WITH_CODE = ("Custom", "_Native", "_NDArray")  # operators whose code is not in the file


class SymbolError(ZooError, ValueError):
    """A ``-symbol.json`` that is missing, damaged or not an MXNet symbol."""


def load_symbol(
    symbol: str | os.PathLike[str],
    params: str | os.PathLike[str] | None = None,
    epoch: int = 0,
    input_shape: InputShape = INPUT_SHAPE,
) -> mx.gluon.SymbolBlock:
    """Load the network in ``PREFIX-symbol.json`` and ``PREFIX-EPOCH.params``, on the CPU.

    ``symbol`` is the path of the first file or just the prefix; ``params`` names another file of parameters. A training
    head such as ``SoftmaxOutput`` is replaced by what it computes at inference, so that no labels are needed.
    The network then puts out probabilities: see :func:`export.output_kind`.

    ``input_shape`` is the shape of the network's input without the batch, or maps the names of several inputs to their
    shapes, in the order in which to call the network; all shapes are checked with it. Raises
    :class:`SymbolError` or :class:`zoo.errors.WeightsError` for files that are damaged or do not belong together, as
    when :func:`~export.to_symbol` was killed after it had replaced the first of two files.
    """
    inputs = inference.input_shapes(input_shape)
    prefix = os.fspath(symbol).removesuffix(_ENDING)
    path, own = names(prefix, epoch)
    if str(symbol).endswith(".json"):
        path = Path(symbol)
    elif Path(symbol).exists() and not Path(symbol).is_dir() and not path.exists():
        raise SymbolError(f"{symbol} is no symbol of MXNet's: name a file that ends in {_ENDING}")
    origin = Path(params) if params is not None else own
    loaded, notes = _read(path)
    arrays = weights.read(origin)
    _check_pair(notes, arrays, prefix, path, origin)
    graph = Graph.of(loaded)
    labels = inference.label_names(graph)
    arrays = {name: array for name, array in arrays.items() if name.split(":", 1)[-1] not in labels}
    wanted = inputs if isinstance(input_shape, Mapping) else None
    data = _check_inputs(loaded, arrays, labels, wanted, path, origin)
    inference.without_heads(graph)
    for node in graph.nodes():
        # Drop annotations: they are for training, or repeat what the parameters themselves show.
        node.attributes = {key: value for key, value in node.attributes.items() if not key.startswith("__")}
        if node.is_variable and node.name == data:
            node.name = inference.INPUT
    _fit(graph, arrays, inputs, path, origin)
    with interface(graph.numpy):
        block = lowering.block(graph.symbol(), inputs=tuple(inputs))
        fill(block, arrays)
    return block


def _read(path: Path) -> tuple[mx.sym.Symbol, dict[str, list[object]]]:
    """Read and check the symbol in ``path``; returns it with the notes that MXNet calls the graph's attributes."""
    try:
        text = files.read(path, SymbolError).decode()
    except UnicodeDecodeError:
        raise SymbolError(f"{path} is damaged or no symbol of MXNet's: it is not text") from None
    try:
        raw = json.loads(text)
        _check(raw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symbol, notes = mx.sym.load_json(text), raw.get("attrs", {})
            return symbol.as_np_ndarray() if notes.get("is_np_shape") == ["int", 1] else symbol, notes
    except RecursionError:
        reason = "it is nested too deeply"
    except _Damage as error:
        reason = str(error)
    except ValueError as error:
        reason = f"it is not JSON ({error})"
    except mx.base.MXNetError as error:
        reason = mxnet_reason(error)
    raise SymbolError(f"{path} is damaged or no symbol of MXNet's: {reason}")


class _Damage(Exception):
    """A defect of a graph."""


def _check(raw: object) -> None:
    raw = raw if isinstance(raw, dict) else {}
    nodes = raw.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        raise _Damage("it has no nodes")
    outputs: list[int] = []  # number of outputs of each node
    names: set[str] = set()
    for number, node in enumerate(nodes):
        if not isinstance(node, dict) or not all(isinstance(node.get(key), str) for key in ("op", "name")):
            raise _Damage(f"node {number} has no name or no operator")
        label = f"the {node['op']} {node['name']!r}" if node["op"] != "null" else f"the variable {node['name']!r}"
        inputs = _entries(node.get("inputs"), outputs, f"the inputs of {label}")
        attributes = _attributes(node, label)
        if node["op"] == "null":
            if inputs:
                raise _Damage(f"{label} has inputs")
            if node["name"] in names:
                raise _Damage(f"there are two of {label}")
            names.add(node["name"])
            outputs.append(1)
            continue
        expected, statistics, count = _signature(node["op"], attributes, label)
        if len(inputs) != expected and not (_is_old(raw) and len(inputs) == expected - statistics):
            raise _Damage(f"{label} has {len(inputs)} inputs and takes {expected}")
        outputs.append(count)
    if not _entries(raw.get("heads"), outputs, "the heads"):
        raise _Damage("it has no outputs")
    variables = [number for number, node in enumerate(nodes) if node["op"] == "null"]
    if raw.get("arg_nodes") != variables:
        raise _Damage("its arg_nodes are not its variables")


def _entries(value: object, outputs: list[int], what: str) -> list[list[int]]:
    """Check references to outputs of earlier nodes, as pairs or triples of integers; returns them."""
    if not isinstance(value, list):
        raise _Damage(f"{what} are missing")
    for entry in value:
        if not isinstance(entry, list) or len(entry) not in (2, 3) or not all(type(each) is int for each in entry):
            raise _Damage(f"{what} hold {str(entry)[:40]}, which is no reference to a node")
        node, output = entry[:2]
        if not 0 <= node < len(outputs):
            raise _Damage(f"{what} refer to node {node}, which does not come before")
        if not 0 <= output < outputs[node]:
            raise _Damage(f"{what} refer to output {output} of node {node}, which has {outputs[node]}")
    return value


def _attributes(node: dict[str, object], label: str) -> dict[str, str]:
    if "subgraphs" in node:
        raise _Damage(f"{label} has subgraphs, which are read by the program that made them only")
    found: dict[str, str] = {}
    for key in _ATTRIBUTES:
        attributes = node.get(key, {})
        if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
            raise _Damage(f"the attributes of {label} are not a mapping of strings")
        found.update(attributes)
    return {key: value for key, value in found.items() if not key.startswith("__") and not key.endswith(_ANNOTATIONS)}


def _is_old(raw: dict[str, Any]) -> bool:
    """Whether a graph is from before MXNet 0.9, which left out running statistics; MXNet adds them when it reads it."""
    notes = raw.get("attrs")
    version = notes.get("mxnet_version") if isinstance(notes, dict) else None
    number = version[-1] if isinstance(version, list) and version else None
    return not isinstance(number, int) or number < 900


def _signature(operator: str, attributes: dict[str, str], label: str) -> tuple[int, int, int]:
    """Ask MXNet how many inputs, running statistics among them, and outputs an operator has, by creating it alone."""
    from mxnet.base import _LIB, MXNetError, c_str, c_str_array, check_call

    if operator in _WITH_CODE:
        raise _Damage(f"{label} needs code of its own, which is not in the file")
    handle, symbol = ctypes.c_void_p(), ctypes.c_void_p()
    try:
        check_call(_LIB.NNGetOpHandle(c_str(operator), ctypes.byref(handle)))
    except MXNetError:
        raise _Damage(f"{label} is no operator of MXNet {mx.__version__}") from None
    for key in COUNTS & set(attributes):
        if any(not 1 <= int(number) <= LARGEST_COUNT for number in re.findall(r"-?\d+", attributes[key])):
            raise _Damage(f"{label} has {key}={attributes[key]}, which is not from 1 to {LARGEST_COUNT}")
    try:
        keys, texts = c_str_array(list(attributes)), c_str_array(list(attributes.values()))
        check_call(_LIB.MXSymbolCreateAtomicSymbol(handle, len(attributes), keys, texts, ctypes.byref(symbol)))
        alone = mx.sym.Symbol(symbol)
        alone._compose(name="alone")  # MXNet adds a variable for every input
        return len(alone.list_inputs()), len(alone.list_auxiliary_states()), len(alone)
    except MXNetError as error:
        raise _Damage(f"{label}: {mxnet_reason(error)}") from None


def _check_pair(
    notes: dict[str, list[object]], arrays: dict[str, np.ndarray], prefix: str, path: Path, origin: Path
) -> None:
    """Refuse other weights than those the symbol was written with, in the very file that was written with it.

    Other files, of other epochs too, may hold any weights.
    """
    (_, epoch), (_, digest) = notes.get(EPOCH, (None, None)), notes.get(WEIGHTS, (None, None))
    if not isinstance(epoch, int) or origin.resolve() != names(prefix, epoch)[1].resolve():
        return
    if files.hexdigest(parameter_files.encode(arrays)) != digest:
        raise WeightsError(
            f"{origin} does not hold the weights that {path} was written with: write both again, or rename this file "
            "and name it as the parameters"
        )


def _check_inputs(
    symbol: mx.sym.Symbol,
    arrays: dict[str, np.ndarray],
    labels: set[str],
    inputs: Collection[str] | None,
    path: Path,
    origin: Path,
) -> str | None:
    """Return the one variable that is neither a parameter nor a label; None if these are ``inputs`` that have names."""
    given = {name.split(":", 1)[-1] for name in arrays}
    wanted = set(symbol.list_inputs())
    foreign, missing = sorted(given - wanted), sorted(wanted - given - labels)
    if foreign:
        raise WeightsError(f"{origin} belongs to another network than {path}: not part of it are {_some(foreign)}")
    if inputs is not None:
        unknown = [name for name in inputs if name not in missing]
        if unknown:
            raise WeightsError(f"{path} has no input {unknown[0]}: it may be any of {_some(missing)}")
        missing = [name for name in missing if name not in inputs]
        if missing:
            raise WeightsError(f"{origin} belongs to another network than {path}: it lacks {_some(missing)}")
        return None
    if len(missing) > 1:
        rest = [name for name in missing if name != inference.INPUT]
        raise WeightsError(
            f"{origin} belongs to another network than {path}: it lacks {_some(rest)} (if these are inputs, too, give "
            "the shapes of all by name)"
        )
    if missing and missing[0] != inference.INPUT and inference.INPUT in wanted:
        raise WeightsError(f"{origin} has values for the input data but not for {missing[0]}")
    if not missing:
        raise WeightsError(f"{origin} holds values for every variable of {path}: none is left for the data")
    return missing[0]


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}"


def _fit(graph: Graph, arrays: dict[str, np.ndarray], inputs: Mapping[str, Shape], path: Path, origin: Path) -> None:
    """Check that shapes and dtypes of parameters and data fit together in the graph."""
    try:
        inference.check_fit(graph, {name.split(":", 1)[-1]: array for name, array in arrays.items()}, inputs)
    except ZooError as error:
        raise WeightsError(
            f"{path}, {origin} and data of the shape {inference.described(inputs)} do not go together: {error}"
        ) from None


def fill(block: mx.gluon.SymbolBlock, arrays: dict[str, np.ndarray]) -> None:
    """Set the parameters of ``block``, on the CPU; names may have the prefixes of MXNet's files."""
    parameters = block.collect_params()
    for name, array in arrays.items():
        parameter = parameters[name.split(":", 1)[-1]]
        parameter.shape, parameter.dtype = array.shape, array.dtype
        parameter.initialize(mx.init.Zero(), ctx=mx.cpu())
        weights.assign(parameter, array)
