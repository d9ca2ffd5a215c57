"""Apache TVM: the file is compiled for this processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.runtimes.runtime import Forward, data_of


def open_file(path: Path) -> Forward:
    """Compile ``path``."""
    import onnx
    import tvm
    from tvm.relax import VirtualMachine
    from tvm.relax.frontend.onnx import from_onnx

    model = onnx.load(path)
    dtypes = {
        each.name: onnx.helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type).name
        for each in data_of(model.graph)
    }
    machine = VirtualMachine(tvm.compile(from_onnx(model, dtype_dict=dtypes), target="llvm"), tvm.cpu())

    def forward(*arrays: np.ndarray) -> Sequence[np.ndarray]:
        outputs = machine["main"](*map(tvm.runtime.tensor, arrays))
        return [each.numpy() for each in ([outputs] if isinstance(outputs, tvm.runtime.Tensor) else outputs)]

    return forward
