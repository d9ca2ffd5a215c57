"""What a runtime is: a program that opens an ONNX file and computes its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

Forward = Callable[..., Sequence[np.ndarray]]  # from one array for each input, in their order, to all outputs


@dataclass(frozen=True)
class Runtime:
    """One program, and how it opens a file."""

    name: str
    open: Callable[[Path], Forward]  # a function of a module, which another process imports
    find: Callable[[], str | None]  # the installed version; None if it is not installed
    is_required: bool = False  # whether a file is useless that it cannot run

    @property
    def is_installed(self) -> bool:
        """Whether it can be found, without importing it."""
        return self.find() is not None


def installed(module: str, *distributions: str) -> str | None:
    """Return the version of the first of ``distributions`` that is there; None if ``module`` cannot be found."""
    if util.find_spec(module) is None:
        return None
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def data_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs of ``graph`` without its weights, which old files list as inputs as well."""
    weights = {each.name for each in graph.initializer}
    return [each for each in graph.input if each.name not in weights]
