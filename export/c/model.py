"""C files: a network as source code with its weights."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from export import inference
from export.c import calibration
from export.c.emit import Source, emit
from export.c.int8 import Int8, prepared
from export.c.translation import translate
from export.onnx.ends import wants_softmax
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.io import files
from zoo.models import params
from zoo.runtime import mx


def to_c(
    net: mx.gluon.HybridBlock,
    path: str | os.PathLike[str],
    input_shape: tuple[int, ...] = INPUT_SHAPE,
    softmax: bool = False,
    uint8: bool = False,
    int8: Dataset | np.ndarray | None = None,
) -> Path:
    """Write ``net`` as C99 to ``path``, with its header beside it, and return the path.

    The function in it, ``NAME_run`` with the name of the file, computes the output of one item of ``input_shape``.
    With ``uint8``, the item holds pixels from 0 to 255, which are divided by 255. ``softmax`` appends a softmax,
    unless the network ends in one.

    With ``int8``, it computes in 8-bit integers, from pixels from 0 to 255: ``int8`` holds such items that the network
    was not trained on, a data set or an array of uint8. They decide which values the integers stand for.

    Raises :class:`ZooError` if an operator or a setting cannot be written as C, if a weight is not finite, or if the
    files cannot be written.
    """
    path = Path(path)
    if path.suffix != ".c":
        raise ZooError(f"a file of C ends in .c, and {path} does not")
    source = source_of(net, path.stem, "a network", input_shape, softmax, uint8, int8)
    contents = {path: source.code.encode(), path.with_name(f"{source.name}.h"): source.header.encode()}
    for each in contents:
        files.output_file(each)
    files.write_together(contents)
    return path


def source_of(
    net: mx.gluon.HybridBlock,
    name: str,
    title: str,
    input_shape: tuple[int, ...] = INPUT_SHAPE,
    softmax: bool = False,
    uint8: bool = False,
    int8: Dataset | np.ndarray | None = None,
) -> Source:
    """Return what :func:`to_c` writes, with ``title`` in its first line."""
    input_shape = inference.item_shape(input_shape)
    graph, state = inference.graph_of(net), inference.finite_state(net)
    given = {key.split(":", 1)[1]: value for key, value in state.items()}
    inference.check_fit(graph, given, {inference.INPUT: input_shape})
    arrays = {key: params.widened(value) for key, value in given.items()}
    plan = translate(graph, arrays, input_shape, uint8 and int8 is None, wants_softmax(graph, softmax))
    if int8 is None:
        return emit(plan, name, title)
    items = _items(int8, input_shape)
    plan = prepared(plan)
    found = calibration.ranges(graph, arrays, {each for names in plan.stages for each in names}, items)
    return emit(plan, name, title, Int8(plan, found))


def _items(data: Dataset | np.ndarray, input_shape: tuple[int, ...]) -> np.ndarray:
    """Return items for calibration as an array; raises :class:`ZooError` if they are no pixels of this shape."""
    items = data.images[:, None] if isinstance(data, Dataset) else data
    if not isinstance(items, np.ndarray) or items.dtype != np.uint8 or items.shape[1:] != input_shape or not len(items):
        shape = ", ".join(map(str, ("n", *input_shape)))
        raise ZooError(f"int8 takes a Dataset or an array ({shape}) of uint8, from which the ranges follow")
    return items
