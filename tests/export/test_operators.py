"""Every operator either computes the same in ONNX Runtime or is refused by name."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import networks
import numpy as np
import pytest

import export
import zoo
from export.onnx.operators import OPERATORS
from zoo.runtime import mx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
S, V = mx.sym, mx.sym.var
IMAGE = (4, 9, 9)
W = V("w", shape=(1, 4, 1, 1))


def conv(x, **settings):
    return S.Convolution(x, num_filter=4, kernel=(3, 3), **settings)


CASES = [
    lambda x: S.Activation(x, act_type="sigmoid"),
    lambda x: S.Activation(x, act_type="softrelu"),
    lambda x: S.Activation(x, act_type="softsign"),
    lambda x: S.Activation(x, act_type="tanh"),
    lambda x: S.BatchNorm(x, fix_gamma=True, eps=1e-2),
    lambda x: S.BatchNorm(x, fix_gamma=False, use_global_stats=True, axis=-3),
    lambda x: S.BlockGrad(x) + S.make_loss(x) + S.MakeLoss(x) + S.identity(x),
    lambda x: S.Cast(S.Cast(x * 9, dtype="int32"), dtype="float32"),
    lambda x: S.Concat(x, x * 2, x * 3, dim=-1),
    lambda x: conv(x, stride=(2, 1), pad=(1, 2), dilate=(2, 2), no_bias=True),
    lambda x: conv(x, num_group=2, layout="NCHW"),
    lambda x: S.Convolution(S.reshape(x, shape=(0, 0, -1)), num_filter=3, kernel=(5,), stride=(2,), pad=(1,)),
    lambda x: S.Deconvolution(x, num_filter=6, kernel=(3, 3), stride=(2, 2), pad=(1, 1), adj=(1, 1), num_group=2),
    lambda x: S.Deconvolution(x, num_filter=2, kernel=(2, 2), no_bias=False),
    lambda x: S.Dropout(x, p=0.4, axes=(1,)),
    lambda x: S.Embedding(S.floor(x * 5), input_dim=5, output_dim=3),
    lambda x: S.Flatten(S.Flatten(x)),
    lambda x: S.FullyConnected(x, num_hidden=5, no_bias=True),
    lambda x: S.FullyConnected(x, num_hidden=5, flatten=False),
    lambda x: S.FullyConnected(x, num_hidden=5, flatten=False, no_bias=True),
    lambda x: S.InstanceNorm(x, V("gamma"), V("beta"), eps=1e-2),
    lambda x: S.L2Normalization(x, mode="instance") + S.L2Normalization(x, mode="channel"),
    lambda x: S.L2Normalization(x, mode="spatial"),
    lambda x: S.LRN(x, nsize=3, alpha=0.1, beta=0.5, knorm=1.5),
    lambda x: S.LayerNorm(x, V("gamma"), V("beta"), axis=3),
    lambda x: S.LeakyReLU(x - 0.5, act_type="leaky", slope=0.1),
    lambda x: S.LeakyReLU(x - 0.5, act_type="elu", slope=0.3),
    lambda x: S.LeakyReLU(x - 0.5, act_type="selu"),
    lambda x: S.LeakyReLU(x - 0.5, act_type="gelu"),
    lambda x: S.LeakyReLU(x - 0.5, V("slopes", shape=(4,)), act_type="prelu"),
    lambda x: S.LeakyReLU(x - 0.5, V("slope", shape=(1,)), act_type="prelu"),
    lambda x: S.LinearRegressionOutput(x, V("label")),
    lambda x: S.LogisticRegressionOutput(x, V("label")),
    lambda x: S.Pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 4), constant_value=0.5),
    lambda x: S.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    lambda x: S.Pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 2, 3, 4)),
    lambda x: S.Pooling(x, kernel=(3, 2), stride=(2, 2), pad=(1, 0)),
    lambda x: S.Pooling(x, kernel=(2, 2), stride=(2, 2), pooling_convention="full"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False),
    lambda x: S.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg", pooling_convention="full"),
    lambda x: S.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="lp", p_value=2),
    lambda x: S.Pooling(x, global_pool=True, pool_type="avg"),
    lambda x: S.Pooling(x, global_pool=True, kernel=(7, 7), pad=(3, 3)),
    lambda x: S.Pooling(x, global_pool=True, pool_type="lp", p_value=2),
    lambda x: S.Reshape(x, shape=(-4, -1, 1, 0, -3)),
    lambda x: S.Reshape(x, shape=(0, -1)),
    lambda x: S.Reshape(x, shape=(-1, 9)),
    lambda x: S.Reshape(x, shape=(9, -1), reverse=True),
    lambda x: sum(S.SliceChannel(x, num_outputs=2)[1] * factor for factor in (1, 2)),
    lambda x: S.SliceChannel(x, num_outputs=9, axis=-1, squeeze_axis=True)[4],
    lambda x: S.SoftmaxActivation(x, mode="channel"),
    lambda x: S.SoftmaxOutput(S.Flatten(x), V("label")),
    lambda x: S.SoftmaxOutput(x, V("label"), multi_output=True),
    lambda x: S.SoftmaxOutput(x, V("label"), preserve_shape=True),
    lambda x: S.SwapAxis(x, dim1=1, dim2=3),
    lambda x: S.UpSampling(x, scale=2, sample_type="nearest", num_args=1),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x, output_size=(3, 9)),
    lambda x: S.contrib.AdaptiveAvgPooling2D(x),
    lambda x: 2 / (3 - x) + 5 * x - 1 + (x + 1) ** 2 + 2**x + x / 3,
    lambda x: S.maximum(x, 0.5) + S.minimum(x, 0.5),
    lambda x: (x > 0.5) + (x < 0.2) * 2 + (S.floor(x * 5) == 2) * 3,
    lambda x: S.broadcast_greater(x, W) + S.broadcast_lesser(x, W),
    lambda x: S.broadcast_equal(S.floor(x * 2), S.floor(S.slice_axis(x, axis=1, begin=0, end=1) * 2)),
    lambda x: S.abs(x - 0.5) + S.ceil(x) + S.cos(x) + S.erf(x) + S.exp(x) + S.floor(x) + S.log(x + 1),
    lambda x: S.negative(x) + S.reciprocal(x + 1) + S.relu(x - 0.5) + S.rsqrt(x + 1) + S.sigmoid(x) + S.sign(x),
    lambda x: S.sin(x) + S.softsign(x) + S.sqrt(x) + S.square(x) + S.tanh(x) + S.hard_sigmoid(x, alpha=0.3),
    lambda x: S.add_n(x, x * 2, x * 3) + S.add_n(x, x),
    lambda x: S.argmax(x, axis=1) + S.argmin(x, axis=1),
    lambda x: S.batch_dot(S.reshape(x, shape=(0, 0, -1)), S.reshape(x, shape=(0, 0, -1)), transpose_b=True),
    lambda x: S.dot(S.Flatten(x), V("w", shape=(5, 324)), transpose_b=True),
    lambda x: S.broadcast_add(x, W) - S.broadcast_div(x, W),
    lambda x: S.broadcast_mul(x, W) * S.broadcast_sub(x, W),
    lambda x: S.broadcast_maximum(x, W) / S.broadcast_minimum(x, W),
    lambda x: S.broadcast_power(x, W),
    lambda x: S.maximum(x, 1 - x) + S.minimum(x, 1 - x) + S.pow(x, 1 - x),
    lambda x: S.clip(x, 0.2, 0.6),
    lambda x: S.squeeze(S.expand_dims(x, axis=-1)) + S.squeeze(S.expand_dims(x, axis=1), axis=1),
    lambda x: S.mean(x, axis=(2, 3)) + S.sum(x, axis=(-1, -2)) + S.prod(x, axis=(2, 3)),
    lambda x: S.max(x, axis=(0, 2), exclude=True) + S.min(x, axis=(1, 3), keepdims=False),
    lambda x: S.norm(x, ord=1, axis=1) + S.norm(x, axis=1),
    lambda x: S.slice(x, begin=(None, 1), end=(None, 3)),
    lambda x: S.slice_axis(x, axis=2, begin=1, end=-2) + S.slice_axis(x, axis=2, begin=-6, end=None),
    lambda x: S.softmax(x, axis=1, temperature=2.0) + S.log_softmax(x),
    lambda x: S.stack(x, x * 2, axis=1),
    lambda x: S.transpose(x, axes=(0, 2, 3, 1)) + S.transpose(S.transpose(x), axes=(3, 1, 0, 2)),
]


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("make", CASES, ids=lambda make: inspect.getsource(make).split("x: ", 1)[1].strip()[:60])
def test_onnx_runtime_computes_the_same(make, opset: int, tmp_path: Path):
    net = networks.of(make(V("data", dtype="float32")), IMAGE)
    if opset < 17 and "LayerNorm" in str(net(V("data")).tojson()):
        with pytest.raises(zoo.ZooError, match="LayerNorm 'layernorm[0-9]*' .* from opset 17 on"):
            export.to_onnx(net, tmp_path / "model.onnx", IMAGE, opset)
        return
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE, opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    (output,) = onnxruntime.InferenceSession(str(path), options).run(None, {"data": data})
    expected = net(mx.nd.array(data)).asnumpy()
    assert output.dtype == expected.dtype and output.shape == expected.shape
    assert np.abs(output - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def refused(make, words: str):
    return pytest.param(make, words, id=words[:40])


@pytest.mark.parametrize(
    "make, words",
    [
        refused(lambda x: S.sort(x, name="s"), "sort 's' .*no translation of this operator"),
        refused(lambda x: S.BatchNorm(x, axis=2, name="bn"), "BatchNorm 'bn' .* axis=2"),
        refused(lambda x: S.Pooling(x, kernel=(2, 2), pool_type="sum", name="p"), "Pooling 'p' .*pool_type=sum"),
        refused(
            lambda x: S.Pooling(x, kernel=(4, 4), stride=(2, 2), pad=(1, 1), pool_type="avg",
                                pooling_convention="full", name="p"), "Pooling 'p' .*averages over padding",
        ),
        refused(
            lambda x: S.Pooling(x, kernel=(2, 2), stride=(4, 3), pooling_convention="full", name="p"),
            "Pooling 'p' .*last window starts at 9, beyond an input of 9",
        ),
        refused(lambda x: S.Dropout(x, mode="always", name="d"), "Dropout 'd' .* mode=always"),
        refused(lambda x: S.mean(x, name="m"), "mean 'm' .* leaves no dimension"),
        refused(lambda x: S.LeakyReLU(x, act_type="rrelu", name="r")[0], "LeakyReLU 'r' .* act_type=rrelu"),
        refused(lambda x: S.LRN(x, nsize=4, name="n"), "LRN 'n' .* nsize=4"),
        refused(lambda x: S.softmax(x, axis=2, dtype="float64", name="s"), "softmax 's' .* dtype=float64"),
        refused(lambda x: S.SoftmaxOutput(x, V("label"), name="s"), "SoftmaxActivation 's' .* two dimensions only"),
        refused(lambda x: S.slice(x, begin=(0, 0), end=(1, 4), step=(1, 2), name="s"), "slice 's' .* step="),
        refused(
            lambda x: S.Deconvolution(x, kernel=(2, 2), stride=(2, 2), num_filter=1, target_shape=(17, 17), name="d"),
            "Deconvolution 'd' .* target_shape",
        ),
        refused(lambda x: S.UpSampling(x, V("w"), scale=2, sample_type="bilinear", num_filter=4, name="u"), "bilinear"),
        refused(lambda x: S.reshape(x, shape=(0, 5), name="r"), "Reshape 'r' makes .* another number of elements"),
    ],
)  # fmt: skip
def test_what_has_no_translation_is_refused_by_name(make, words: str, tmp_path: Path):
    net = networks.of(make(V("data", dtype="float32")), IMAGE)
    with pytest.raises(zoo.ZooError, match=words):
        export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    assert not any(tmp_path.iterdir())


def test_a_setting_that_nobody_knows_is_refused(tmp_path: Path, monkeypatch):
    net = networks.of(S.Activation(V("data", dtype="float32"), act_type="relu", name="a"), IMAGE)
    monkeypatch.setitem(OPERATORS, "Activation", lambda call: call.add("Relu", call.data))
    with pytest.raises(zoo.ZooError, match="Activation 'a' .* act_type=relu"):
        export.to_onnx(net, tmp_path / "model.onnx", IMAGE)


def test_several_outputs_keep_their_names(tmp_path: Path):
    x = V("data", dtype="float32")
    net = networks.of(S.Group([S.Flatten(x, name="flat"), x * 1, S.Dropout(x, name="same"), S.Flatten(x)]), IMAGE)
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    session = onnxruntime.InferenceSession(str(path))
    assert session.get_outputs()[0].name == "flat"
    for output, expected in zip(session.run(None, {"data": data}), net(mx.nd.array(data))):
        assert np.array_equal(output, expected.asnumpy())


def test_a_weight_that_two_layers_share_serves_both(tmp_path: Path):
    """With fix_gamma, BatchNorm computes with 1 instead of gamma, while the other layer uses gamma as it is."""
    x, gamma = V("data", dtype="float32"), V("gamma")
    statistics = [V(name) for name in ("beta", "mean", "var")]
    fixed = S.BatchNorm(x, gamma, *statistics, fix_gamma=True)
    net = networks.of(S.BatchNorm(fixed, gamma, *statistics, fix_gamma=False), IMAGE)
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    (output,) = onnxruntime.InferenceSession(str(path)).run(None, {"data": data})
    assert np.abs(output - net(mx.nd.array(data)).asnumpy()).max() < 1e-5


def test_what_needs_one_batch_size_says_so_and_is_written_for_it(tmp_path: Path):
    net = networks.of(S.reshape(V("data", dtype="float32"), shape=(2, 4, 81)), IMAGE)
    with pytest.raises(zoo.ZooError, match=r"does not take data of the shape \(3, 4, 9, 9\).*another number"):
        export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE, batch=2)
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    (output,) = onnxruntime.InferenceSession(str(path)).run(None, {"data": data})
    assert np.array_equal(output, data.reshape(2, 4, 81))


def test_every_translation_is_tested():
    graphs = [json.loads(make(V("data")).tojson()) for make in CASES]
    assert set(OPERATORS) <= {node["op"] for graph in graphs for node in graph["nodes"]}
