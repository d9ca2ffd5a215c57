"""Sonos' tract."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from export.runtimes.runtime import Forward

if TYPE_CHECKING:
    import tract


def open_file(path: Path) -> Forward:
    """Open ``path``, again for each size of batches, since tract refuses some networks with an open one."""
    import tract

    @cache
    def opened(*inputs: str) -> tract.Runnable:
        model = tract.onnx().load(path)
        for number, fact in enumerate(inputs):
            model.set_input_fact(number, fact)
        for number in range(model.output_count()):
            model.set_output_fact(number, None)  # which may name the open size
        return model.into_model().into_runnable()

    def forward(*arrays: np.ndarray) -> list[np.ndarray]:
        inputs = (",".join([*map(str, each.shape), f"{each.dtype.kind}{8 * each.itemsize}"]) for each in arrays)
        return [each.to_numpy() for each in opened(*inputs).run(list(arrays))]

    return forward
