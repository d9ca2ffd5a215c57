"""Whether ONNX Runtime computes from an exported network what MXNet computes, for batches of several sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

import export
from zoo.runtime import mx


def assert_agrees(net: mx.gluon.HybridBlock, path: Path, *shape: int, opset: int = 17, scale: float = 1.0) -> None:
    """Write ``net``, for items of ``shape``, to ``path``, and run batches of 1, 2 and 3 from 0 to ``scale``."""
    export.to_onnx(net, path, shape, opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    for size in (1, 2, 3):
        data = np.random.default_rng(size).uniform(0, scale, (size, *shape)).astype(np.float32)
        outputs = net(mx.np.array(data) if mx.util.is_np_array() else mx.nd.array(data))
        expected = [each.asnumpy() for each in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
        computed = session.run(None, {"data": data})
        assert [each.shape for each in computed] == [each.shape for each in expected]
        for one, other in zip(computed, expected):
            assert one.dtype == other.dtype
            assert np.abs(one.astype(np.float64) - other).max() < 1e-5 * max(1, np.abs(other).max())
