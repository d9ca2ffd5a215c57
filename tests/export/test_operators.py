"""Every operator either computes the same in ONNX Runtime or is refused by name."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import networks
import numpy as np
import pytest
from operator_cases import CASES, IMAGE, basic, quantized

import export
import zoo
from export.onnx.operators import OPERATORS
from zoo.runtime import mx

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
S, V = mx.sym, mx.sym.var
# What needs a newer opset, by a word in the graph: the operator that is refused, and its first opset.
NEWER = {
    "aligned": ("_contrib_ROIAlign", 16),
    "BilinearSampler": ("BilinearSampler", 16),
    "SpatialTransformer": ("SpatialTransformer", 16),
    "DeformableConvolution": ("_contrib_.*DeformableConvolution", 19),
}


@pytest.mark.parametrize("opset", [17, *(pytest.param(each, marks=pytest.mark.exhaustive) for each in (13, 21))])
@pytest.mark.parametrize("make", CASES, ids=lambda make: inspect.getsource(make).split("x: ", 1)[1].strip()[:60])
def test_onnx_runtime_computes_the_same(make, opset: int, tmp_path: Path):
    net = networks.of(make(V("data", dtype="float32")), IMAGE)
    for word, (operator, least) in NEWER.items():
        if opset < least and word in net(V("data")).tojson():
            with pytest.raises(zoo.ZooError, match=f"{operator} '[a-z]*[0-9]*' .* from opset {least} on"):
                export.to_onnx(net, tmp_path / "model.onnx", IMAGE, opset)
            return
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE, opset)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    for batch in [2] if make in basic.CASES else [1, 2, 3]:
        data = np.random.default_rng(1).random((batch, *IMAGE), np.float32)
        (output,) = session.run(None, {"data": data})
        expected = net(mx.nd.array(data)).asnumpy()
        assert output.dtype == expected.dtype and output.shape == expected.shape
        assert np.abs(output - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def refused(make, words: str):
    return pytest.param(make, words, id=words[:40])


@pytest.mark.parametrize(
    "make, words",
    [
        refused(lambda x: S.contrib.quadratic(x, name="q"), "there is no translation of _contrib_quadratic \\('q'\\)$"),
        refused(lambda x: S.BatchNorm(x, output_mean_var=True, name="bn")[1], "BatchNorm 'bn' .* output_mean_var=True"),
        refused(lambda x: S.Dropout(x, mode="always", name="d"), "Dropout 'd' .* mode=always"),
        refused(lambda x: S.LeakyReLU(x, act_type="rrelu", name="r"), "LeakyReLU 'r' .*only its first output"),
        refused(lambda x: S.LRN(x, nsize=4, name="n"), "LRN 'n' .* nsize=4"),
        refused(lambda x: S.softmax(x, axis=2, dtype="float64", name="s"), "softmax 's' .* dtype=float64"),
        refused(lambda x: S.clip(x, a_min=1, a_max=0, name="c"), "clip 'c' .* 1.0 is larger than its largest, 0.0"),
        refused(lambda x: S.squeeze(S.slice_axis(x, axis=1, begin=0, end=1), name="s"), "squeeze 's' .* removes the b"),
        refused(lambda x: S.mean(x, axis=(0, 1, 2, 3), exclude=True, name="m"), "mean 'm' .* reduces no axis"),
        refused(lambda x: S.argmax(x, name="a"), "argmax 'a' .* without an axis"),
        refused(lambda x: S.slice(x, begin=(None, 2), end=(None, 2), name="s"), "slice 's' .* puts out no elements"),
        refused(lambda x: S.Crop(x, h_w=(3, 4), offset=(8, 1), num_args=1, name="c"), "Crop 'c' .*not within"),
        refused(
            lambda x: S.Deconvolution(x, kernel=(2, 2), stride=(2, 2), num_filter=1, target_shape=(0, 17), name="d"),
            "Deconvolution 'd' .* puts out no elements",
        ),
        refused(
            lambda x: S.contrib.box_nms(S.reshape(x, (0, -1, 9)), overlap_thresh=-0.5, name="n"),
            "_contrib_box_nms 'n' .* overlap_thresh=-0.5 is negative",
        ),
        refused(lambda x: S.contrib.box_nms(S.reshape(x, (-1, 9)), name="n"), "'n' .* number of its boxes is not"),
        refused(
            lambda x: S.contrib.ROIAlign(x, S.ones((1, 5)), pooled_size=(2, 2), spatial_scale=1,
                                         position_sensitive=True, name="r"), "'r' .* position_sensitive=True",
        ),
        refused(lambda x: S.contrib.MultiBoxPrior(S.transpose(x), name="m"), "'m' .* size of its input is not fixed"),
        refused(lambda x: S.contrib.div_sqrt_dim(S.transpose(x), name="d"), "'d' .* last dimension depends"),
        refused(
            lambda x: S.GridGenerator(S.slice_axis(S.Flatten(x), axis=1, begin=0, end=6), transform_type="affine",
                                      target_shape=(1, 5), name="g"), "GridGenerator 'g' .* single row or column",
        ),
        refused(lambda x: S.take(x, S.arange(2), mode="raise", name="t"), "take 't' .* mode=raise"),
        refused(lambda x: S.diag(S.reshape(x, (-1,)), name="d"), "diag 'd' .* one dimension"),
        refused(lambda x: S.diag(x, name="d"), "diag 'd' .* size of its matrices is not fixed"),
        refused(lambda x: S.reshape(x, (-1, 9)) + S.zeros((0, 9), name="z"), "_zeros 'z' .* depends on the batch size"),
        refused(lambda x: quantized.real(S.contrib.quantize_v2(x, name="q")), "quantize_v2 'q' .*no calibrated range"),
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


def test_aligned_regions_of_no_item_are_zero(tmp_path: Path):
    """As documented; MXNet itself sets elements of other regions to 0, so it runs without these regions here."""
    data = np.random.default_rng(1).random((2, *IMAGE), np.float32)
    regions = np.array([[-1, 0, 0, 5, 5], [1, 1, 1, 6, 7], [0, -2, 3, 4, 9], [2, 0, 0, 5, 5]], np.float32)
    x, rows = V("data", dtype="float32"), V("rows", shape=(4, 5))
    net = networks.of(S.contrib.ROIAlign(x, rows, pooled_size=(2, 2), spatial_scale=1), IMAGE)
    net.collect_params()["rows"].set_data(mx.nd.array(regions))
    path = export.to_onnx(net, tmp_path / "model.onnx", IMAGE)
    (output,) = onnxruntime.InferenceSession(str(path)).run(None, {"data": data})
    existing = mx.nd.array(regions[1:3])
    expected = mx.nd.contrib.ROIAlign(mx.nd.array(data), existing, pooled_size=(2, 2), spatial_scale=1).asnumpy()
    assert np.abs(output[1:3] - expected).max() < 1e-5
    assert not output[[0, 3]].any()


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
    assert set(OPERATORS) <= {node["op"] for graph in graphs for node in graph["nodes"]} | quantized.LAYERS
