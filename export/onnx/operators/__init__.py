"""The table of MXNet's operators, each with the function that translates it.

A function takes a :class:`export.onnx.graph.Call`, appends what it needs to the graph, and returns the name of the
tensor that stands for the operator's output, or a list of names where there are several.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

from export.onnx.graph import Call
from export.onnx.operators.numpy_like import aliases

OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    name: translate
    for topic in pkgutil.iter_modules(__path__)  # every file beside this one has a table of its own
    for name, translate in import_module(f"{__name__}.{topic.name}").OPERATORS.items()
}
OPERATORS |= aliases(OPERATORS)
