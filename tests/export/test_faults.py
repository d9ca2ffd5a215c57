"""Networks that were once written as files that compute something else, or that ended in a traceback."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest
from operator_cases import IMAGE

import export
import zoo
from zoo.graph import attributes
from zoo.runtime import mx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
S, V = mx.sym, mx.sym.var
X = V("data", dtype="float32")


def items(count: int, shape: tuple[int, ...] = IMAGE) -> np.ndarray:
    return np.random.default_rng(count).random((count, *shape), np.float32) - np.float32(0.5)


def assert_same(net: mx.gluon.HybridBlock, path: Path, *batches: np.ndarray) -> None:
    """ONNX Runtime computes from each batch what MXNet does."""
    session = onnxruntime.InferenceSession(str(path))
    for data in batches:
        (output,), expected = session.run(None, {"data": data}), net(mx.nd.array(data)).asnumpy()
        assert output.dtype == expected.dtype and output.shape == expected.shape
        assert np.abs(output - expected).max() < 1e-5 * max(1, np.abs(expected).max())


# Each as MXNet reads it (dmlc/parameter.h, mxnet/tuple.h), whoever wrote it.
SPELLINGS = {
    "average pooling without padding": lambda x: S.Pooling(
        x, kernel="[3,3]", stride="( 2L,2 )", pad="(1, 1,)", pool_type="avg", count_include_pad="false"
    ),
    "average pooling with padding": lambda x: S.Pooling(
        x, kernel="(3, 3]", stride="()", pad="[1,1]", pool_type="avg", count_include_pad="TRUE"
    ),
    "convolution": lambda x: S.Convolution(
        x, num_filter=" 2", kernel="[3, 3]", stride="()", pad="[1,1]", num_group="+2", no_bias="1", layout="None"
    ),
    "dilated convolution": lambda x: S.Convolution(x, num_filter="2", kernel="(3,3)", dilate="[2, 2]", no_bias="tRue"),
    "fully connected": lambda x: S.FullyConnected(x, num_hidden="3 ", no_bias="false", flatten="0"),
    "flattening": lambda x: S.FullyConnected(x, num_hidden="+3", flatten="true"),
    "normalization": lambda x: S.BatchNorm(x, fix_gamma="false", eps="1E-2f", axis=" 1", use_global_stats="1"),
    "fixed": lambda x: S.BatchNorm(x, fix_gamma="TRUE", eps=".01"),
    "global pooling": lambda x: S.Pooling(x, global_pool="true", kernel="[2,2]", pool_type="max"),
    "a number": lambda x: x * 2 + S.clip(x, a_min="-INF", a_max="1.e-1") + S.LeakyReLU(x, slope="5E-1"),
    "axes": lambda x: S.sum(S.mean(x, axis="[2,-1]", keepdims="true"), axis="2", keepdims="1"),
    "bounds": lambda x: S.slice(x, begin="[None, 1L]", end="(None,3)", step="()"),
    "no axis": lambda x: S.squeeze(S.expand_dims(x, axis="1"), axis="[1]"),
    "a softmax": lambda x: S.softmax(x, axis="1", temperature="None", use_length="false"),
    "a dropout": lambda x: S.Dropout(x, p="0.5f", axes="[]") + 1,
}


@pytest.mark.parametrize("make", SPELLINGS.values(), ids=SPELLINGS)
def test_settings_mean_the_same_however_they_are_spelled(make, tmp_path: Path):
    symbol = mx.sym.load_json(S.FullyConnected(make(X), num_hidden="4").tojson())
    net, data = networks.of(symbol, IMAGE), items(3)
    assert_same(net, export.to_onnx(net, tmp_path / "model.onnx", IMAGE), data)
    expected = net(mx.nd.array(data)).asnumpy()
    assert np.abs(zoo.compile(net, IMAGE)(data) - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize(
    "text, value",
    [("true", True), ("FALSE", False), ("None", None), ("12", 12), ("-3L", -3), ("+007", 7), ("1.5", 1.5), (".5f", 0.5),
     ("2.", 2.0), ("1e3", 1000.0), ("-inf", -np.inf), ("Infinity", np.inf), ("(1, 2)", (1, 2)), ("[1L,2 ]", (1, 2)),
     ("(1,)", (1,)), ("()", ()), ("[ ]", ()), ("(None, 3)", (None, 3)), ("(0.5,1)", (0.5, 1)), ("valid", "valid"),
     ("1_000", "1_000"), ("0x10", "0x10"), ("1 2", "1 2"), ("float32", "float32")],
)  # fmt: skip
def test_the_grammar_of_settings(text: str, value: object):
    read = attributes.value(text)
    assert read == value and type(read) is type(value)
