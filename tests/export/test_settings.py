"""Random settings of operators: what is written computes in ONNX Runtime what MXNet computes, for every batch size."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from operator_cases import IMAGE

import export
import zoo
from zoo.runtime import mx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
S, V = mx.sym, mx.sym.var
FEW, MANY = 6, 100
AXIS = some.integers(-4, 3)
FLAG = some.booleans()
AXES = some.lists(AXIS, max_size=4, unique_by=lambda axis: axis % 4).map(tuple)


def pairs(least: int, most: int) -> some.SearchStrategy:
    return some.tuples(*[some.integers(least, most)] * 2)


def bounds(*sizes: int) -> some.SearchStrategy:
    return some.tuples(some.none(), *(some.none() | some.integers(-size, size) for size in sizes))


def fixed(**given: object) -> some.SearchStrategy:
    """Dictionaries of settings; what is no strategy is a list of values to choose from."""
    return some.fixed_dictionaries(
        {key: each if isinstance(each, some.SearchStrategy) else some.sampled_from(each) for key, each in given.items()}
    )


WINDOWS = {"kernel": pairs(1, 5), "stride": pairs(1, 4), "pad": pairs(0, 2)}
LAYER = {"num_filter": [4], "num_group": [1, 2], "no_bias": FLAG}
OPERATORS = {
    "Pooling": (S.Pooling, fixed(
        **WINDOWS, pool_type=["max", "avg", "sum", "lp"], pooling_convention=["valid", "full"],
        count_include_pad=[True, False, None], p_value=[1, 2, 3], global_pool=FLAG,
    )),
    "Convolution": (S.Convolution, fixed(**WINDOWS, **LAYER, dilate=pairs(1, 2))),
    "Deconvolution": (S.Deconvolution, fixed(**WINDOWS, **LAYER)),
    "BatchNorm": (S.BatchNorm, fixed(axis=[1, 2, 3, -1, -2, -3], fix_gamma=FLAG, eps=[1e-3, 0.1])),
    "LayerNorm": (lambda x, **given: S.LayerNorm(x, V("g"), V("b"), **given), fixed(axis=AXIS, eps=[1e-5, 0.1])),
    "slice": (S.slice, fixed(
        begin=bounds(4, 9, 9), end=bounds(4, 9, 9),
        step=some.tuples(some.none(), *[some.sampled_from([None, 1, 2, 4, -1, -3])] * 3),
    )),
    "sum": (S.sum, fixed(axis=AXES, keepdims=FLAG, exclude=FLAG)),
    "norm": (S.norm, fixed(axis=AXES.filter(len), keepdims=FLAG, ord=[1, 2])),
    "argmax": (lambda x, **given: S.argmax(S.round(x * 2), **given), fixed(axis=AXIS, keepdims=FLAG)),
    "Reshape": (S.reshape, fixed(
        shape=[(0, -1), (-1,), (0, -3, 0), (-3, -3), (0, -4, 2, 2, -2), (0, -1, 3, 3), (1, -1, 9, 9), (-1, 9)],
        reverse=FLAG,
    )),
    "SliceChannel": (S.SliceChannel, fixed(axis=[1, 2, 3, -1, -3], num_outputs=[1, 2, 3, 4, 9], squeeze_axis=FLAG)),
    "Pad": (S.Pad, fixed(
        mode=["constant", "edge", "reflect"], constant_value=[0, -1.5],
        pad_width=some.tuples(pairs(0, 8), pairs(0, 8)).map(lambda each: (0, 0, 0, 0, *each[0], *each[1])),
    )),
    "softmin": (S.softmin, fixed(axis=AXIS, temperature=[None, 1, 2.5])),
}  # fmt: skip


def compare(net: mx.gluon.HybridBlock, path: Path) -> None:
    session = onnxruntime.InferenceSession(str(path))
    for count in (1, 2, 3):
        data = np.random.default_rng(count).uniform(-3, 3, (count, *IMAGE)).astype(np.float32)
        with contextlib.suppress(mx.base.MXNetError):  # oneDNN does not compute all that MXNet infers
            outputs = net(mx.nd.array(data))
            expected = [each.asnumpy() for each in (outputs if isinstance(outputs, list) else [outputs])]
            for output, each in zip(session.run(None, {"data": data}), expected):
                assert output.dtype == each.dtype and output.shape == each.shape
                assert np.abs(output - each).max() < 3e-5 * max(1, np.abs(each).max())


@pytest.mark.parametrize("count", [pytest.param(MANY, marks=pytest.mark.exhaustive), FEW])
@pytest.mark.parametrize("name", OPERATORS)
def test_all_settings_that_are_written_are_right(name: str, count: int, tmp_path: Path):
    make: Callable[..., mx.sym.Symbol]
    make, strategy = OPERATORS[name]
    written = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def check(chosen: dict[str, object]) -> None:
        try:
            with contextlib.redirect_stdout(None):  # MXNet prints shapes that it refuses
                net = networks.of(make(V("data", dtype="float32"), **chosen), IMAGE)
        except mx.base.MXNetError:
            return
        with contextlib.suppress(zoo.ZooError):
            written.append(export.to_onnx(net, tmp_path / "model.onnx", IMAGE))
            compare(net, written[-1])

    check()
    assert written
