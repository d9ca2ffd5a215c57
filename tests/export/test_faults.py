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
        assert_close(output, expected)


def assert_close(output: np.ndarray, expected: np.ndarray) -> None:
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
    assert_close(zoo.compile(net, IMAGE)(data), expected)


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


def cast(x: mx.sym.Symbol, dtype: str) -> mx.sym.Symbol:
    return S.Cast(x, dtype=dtype)


# Functions of data that are cast to a dtype, and the ONNX operator that ONNX Runtime lacks there.
DTYPES = {
    "float64": (lambda x: S.broadcast_sub(S.tanh(x) * x, S.mean(S.softmax(x), axis=1, keepdims=True)), None),
    "int32": (lambda x: S.broadcast_add(S.elemwise_div(x * x, x + 2), S.sum(x * 2 - 1, axis=1, keepdims=True)), None),
    "int64": (lambda x: S.transpose(S.maximum(x, 1) + (x > 2), axes=(0, 3, 2, 1)), None),
    "int8": (lambda x: S.clip(x, 0, 3), None),
    "uint8": (
        lambda x: S.Concat(S.max(S.abs(x), axis=1, keepdims=True), S.slice_axis(x, axis=1, begin=1, end=3)),
        None,
    ),
    "float64 ": (lambda x: S.erf(x), "erf 'f' .* no Erf of float64"),
    "float64  ": (lambda x: S.UpSampling(x, scale=2, sample_type="nearest"), "UpSampling .* no Resize of float64"),
    "int32 ": (lambda x: S.exp(x), "exp .* no Exp of int32"),
    "int32  ": (lambda x: S.norm(x, axis=1), "norm .* data are int32"),
    "int32   ": (lambda x: x * 1.5, "_mul_scalar .* data are int32, and its number is 1.5"),
    "int8 ": (lambda x: x + x, "elemwise_add .* no Add of int8"),
    "float16": (lambda x: x * 3, "Cast .* computes float16 in float32"),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_dtypes_are_those_of_onnx_runtime_or_refused(dtype: str, tmp_path: Path):
    make, refusal = DTYPES[dtype]
    computed = make(cast(X * 9, dtype.strip()))
    net = networks.of(cast(computed, "float32"), IMAGE)
    if refusal:
        with pytest.raises(zoo.ZooError, match=refusal.replace("'f'", f"'{computed.name}'")):
            export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    else:
        assert_same(net, export.to_onnx(net, tmp_path / "model.onnx", IMAGE), np.abs(items(2)), np.abs(items(3)))


SIGNED = {
    "odd powers": lambda x: S.Pooling(x, kernel=(2, 2), pool_type="lp", p_value=3),
    "sums": lambda x: S.Pooling(x, kernel=(3, 3), pad=(2, 2), pool_type="sum"),
    "indices": lambda x: S.Embedding(x * 20, input_dim=4, output_dim=2),
    "remainders": lambda x: x % 0.3 + x % -0.3 * 10,
    "powers": lambda x: S.expm1(x * 1e-4) * 1e4 + S.log1p(x * 1e-4) * 1e4 + S.cbrt(x),
    "rounding": lambda x: S.rint(x * 8) + S.round(x * 8) * 10 + S.fix(x * 8) * 100,
    "normalization": lambda x: (
        S.GroupNorm(x, V("gamma"), V("beta"), num_groups=4) + S.LayerNorm(x, V("g"), V("b"), axis=2)
    ),
    "a batch of ones": lambda x: S.squeeze(S.slice_axis(x, axis=1, begin=0, end=1), axis=1),
    "over the batch": lambda x: S.broadcast_sub(x, S.mean(x, axis=0, keepdims=True)),
}


@pytest.mark.parametrize("make", SIGNED.values(), ids=SIGNED)
def test_negative_data_and_every_batch_size(make, tmp_path: Path):
    net = networks.of(make(X), IMAGE)
    assert_same(net, export.to_onnx(net, tmp_path / "model.onnx", IMAGE), *map(items, (1, 2, 5)))


def test_a_squeeze_of_all_axes_needs_a_batch_size(tmp_path: Path):
    """For one item, MXNet removes the batch, too."""
    for batch in (1, 2):
        net = networks.of(S.squeeze(S.slice_axis(X, axis=1, begin=0, end=1), name="s"), IMAGE)
        assert_same(net, export.to_onnx(net, tmp_path / "model.onnx", IMAGE, batch=batch), items(batch))
    with pytest.raises(zoo.ZooError, match="squeeze 's' .* give axis, or fix the batch size"):
        export.to_onnx(net, tmp_path / "other.onnx", IMAGE)


@pytest.mark.parametrize(
    "target, pad, adj",
    [((17, 18), (2, 1), (1, 0)), ((16, 15), (2, 3), (0, 1))],
)
def test_deconvolutions_reach_their_target_shape(target, pad, adj, tmp_path: Path):
    """MXNet, whose oneDNN refuses target_shape, computes the same from the padding that it stands for."""

    def make(**settings) -> mx.gluon.HybridBlock:
        return networks.of(S.Deconvolution(X, kernel=(4, 4), stride=(2, 2), num_filter=3, **settings), IMAGE)

    wanted = make(target_shape=target, pad=(7, 7), adj=(1, 1))
    path = export.to_onnx(wanted, tmp_path / "model.onnx", IMAGE)
    assert wanted(X).infer_shape(data=(2, *IMAGE))[1] == [(2, 3, *target)]
    assert_same(make(pad=pad, adj=adj), path, items(2))


def test_names_in_every_language(tmp_path: Path):
    net = networks.of(S.FullyConnected(S.relu(X, name="Größe"), V("ж"), V("重み"), num_hidden=3, name="Übung"), IMAGE)
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    assert_same(net, path, items(2))
    graph = pytest.importorskip("onnx").load(path).graph
    assert {"ж", "重み"} <= {each.name for each in graph.initializer}
    assert graph.node[0].name == "Größe"
    assert_close(zoo.compile(net, IMAGE)(items(2)), net(mx.nd.array(items(2))).asnumpy())


def test_names_with_control_characters_are_refused(tmp_path: Path):
    with pytest.raises(zoo.ZooError, match="a name or a setting in the network has a control character"):
        export.to_onnx(networks.of(S.relu(X, name="a\fb"), IMAGE), tmp_path / "model.onnx", IMAGE)


def test_a_refusal_lists_all_operators_without_translation(tmp_path: Path):
    x = S.contrib.quadratic(S.contrib.quadratic(S.gamma(X, name="g"), name="s1"), name="s2")
    for number in range(6):
        x = S.erfinv(x, name=f"e{number}")
    expected = (
        "the network cannot be written as ONNX: there is no translation of "
        "_contrib_quadratic (2: 's1', 's2'), erfinv (6: 'e0', 'e1', 'e2', 'e3', 'e4', …), gamma ('g')"
    )
    with pytest.raises(zoo.ZooError) as caught:
        export.to_onnx(networks.of(x, IMAGE), tmp_path / "model.onnx", IMAGE)
    assert str(caught.value) == expected
