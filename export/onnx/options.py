"""How an ONNX file is to be written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from export import inference
from export.inference import INPUT
from export.onnx import DEFAULT_OPSET
from export.onnx.checker import package
from zoo.errors import ZooError

if TYPE_CHECKING:
    import numpy as np

    from zoo.data import Dataset

OPSETS = range(13, 22)


@dataclass(frozen=True)
class Options:
    """The options of :func:`export.to_onnx`, which describes them."""

    opset: int = DEFAULT_OPSET
    batch: int | None = None
    softmax: bool = False
    uint8: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] | None = None
    int8: Dataset | np.ndarray | None = None
    external: bool = False

    def check(self, inputs: Collection[str]) -> None:
        """Raise :class:`ZooError` for options that no file, or none with these ``inputs``, can be written with."""
        newest = min(OPSETS[-1], package().defs.onnx_opset_version())
        if not inference.is_whole(self.opset) or self.opset not in range(OPSETS[0], newest + 1):
            raise ZooError(f"an ONNX file is written with an opset from {OPSETS[0]} to {newest}, not {self.opset}")
        if self.batch is not None and not (inference.is_whole(self.batch) and 1 <= self.batch < 2**31):
            raise ZooError(f"the batch size must be at least 1 and below 2**31, not {self.batch}")
        pairs = self.metadata.items() if isinstance(self.metadata, Mapping) else [(self.metadata, None)]
        if not all(isinstance(each, str) and is_utf8(each) for pair in pairs for each in pair):
            raise ZooError(
                "the metadata of an ONNX file must map strings to strings, and all must have a form in UTF-8"
            )
        if list(inputs) != [INPUT] and (self.uint8 or self.int8 is not None):
            kind = "uint8" if self.uint8 else "int8"
            raise ZooError(f"{kind} is for networks with one input named {INPUT}, and this has {', '.join(inputs)}")


def is_utf8(text: str) -> bool:
    """Whether ``text`` has a form in UTF-8; half a surrogate pair has none."""
    return text.encode(errors="replace").decode() == text
