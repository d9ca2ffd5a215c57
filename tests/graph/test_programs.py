"""Networks as programs: they compute what Gluon computes, at any batch size, and say what they leave to MXNet."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from networks import execution, make, unsettled

import zoo
from zoo import kernels
from zoo.graph import lowering
from zoo.graph.explanation import explain
from zoo.graph.ir import Graph
from zoo.models import weights
from zoo.runtime import mx

nn = mx.gluon.nn
FOUND = kernels.available()
needs_kernels = pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)
IMAGES = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)


def assert_agrees(found: np.ndarray, net: mx.gluon.HybridBlock, data: np.ndarray) -> None:
    expected = net(mx.nd.array(data)).asnumpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def operators(symbol: mx.sym.Symbol) -> list[str]:
    return [node.operator for node in Graph.of(symbol).nodes() if not node.is_variable]


CASES = {
    "strides": ((3, 11, 9), [lambda: nn.Conv2D(5, 3, strides=2, padding=1), lambda: nn.Conv2D(70, (2, 3))]),
    "wide kernels": ((1, 12, 12), [lambda: nn.Conv2D(9, 7, padding=6), lambda: nn.Conv2D(1, 1)]),
    "pools": ((4, 13, 13), [
        lambda: nn.MaxPool2D(3, 2, padding=1), lambda: nn.Conv2D(20, 1, activation="tanh"),
        lambda: nn.AvgPool2D((2, 3)), lambda: nn.GlobalMaxPool2D(),
    ]),
    "means": ((2, 6, 7), [lambda: nn.Conv2D(17, 2), lambda: nn.GlobalAvgPool2D(), lambda: nn.Dense(3)]),
    "stages": ((1, 8, 8), [
        lambda: nn.BatchNorm(), lambda: nn.Conv2D(6, 3, use_bias=False), lambda: nn.Activation("tanh"),
        lambda: nn.Activation("relu"), lambda: nn.BatchNorm(scale=False), lambda: nn.Dense(130, activation="tanh"),
        lambda: nn.BatchNorm(), lambda: nn.Dense(10), lambda: nn.Activation("relu"),
    ]),
    "vectors": ((19,), [lambda: nn.Dense(33, activation="relu"), lambda: nn.BatchNorm(), lambda: nn.Dense(2)]),
    "flat": ((3, 4, 5), [lambda: nn.Conv2D(6, 2), lambda: nn.Flatten()]),
}  # fmt: skip


@needs_kernels
@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("name", CASES)
def test_layers_are_one_program(name: str):
    shape, layers = CASES[name]
    net = make(*(layer() for layer in layers), shape=shape)
    compiled = zoo.compile(net, shape)
    assert compiled.is_direct, compiled.why
    data = np.random.default_rng(0).normal(size=(37, *shape)).astype(np.float32)
    for count in (*range(1, 18), 37):
        assert_agrees(compiled(data[:count]), net, data[:count])


@needs_kernels
@pytest.mark.usefixtures("lanes")
def test_branches_and_scalars_are_one_program():
    def function(F, x, first, second, third):
        x = F.relu(first(x))
        return F.tanh((second(x) + x * 0.5) / 3 - 0.25) + (third(x) + 1)

    layers = [nn.Conv2D(12, 3, padding=1), nn.Conv2D(12, 5, padding=2), nn.Conv2D(12, 1)]
    net = make(*layers, shape=(2, 9, 9), function=function)
    compiled = zoo.compile(net, (2, 9, 9))
    assert compiled.is_direct, compiled.why
    data = np.random.default_rng(0).normal(size=(9, 2, 9, 9)).astype(np.float32)
    assert_agrees(compiled(data), net, data)


@needs_kernels
@pytest.mark.parametrize("layer, reason", [
    (lambda: nn.Conv2D(4, 3, groups=2), "2 groups"),
    (lambda: nn.Conv2D(4, 3, dilation=2), "dilated"),
    (lambda: nn.Activation("sigmoid"), "its activation is sigmoid"),
    (lambda: nn.AvgPool2D(2, padding=1), "averages are padded"),
    (lambda: nn.MaxPool2D(2, ceil_mode=True), "beyond the image"),
    (lambda: nn.HybridLambda(lambda F, x: F.cast(F.cast(x, "float64"), "float32")), "several dtypes"),
    (lambda: nn.LeakyReLU(0.1), "no kernel"),
    (lambda: nn.BatchNorm(axis=2), "axis 2"),
    (lambda: nn.HybridLambda(lambda F, x: x * 1e35), "too large"),
    (lambda: nn.HybridLambda(lambda F, x: F.broadcast_add(x, F.max(x, axis=1, keepdims=True))), "different shapes"),
    (lambda: nn.HybridLambda(lambda F, x: F.Flatten(x).tanh().reshape((0, 4, 7, 7))), "follows Flatten"),
], ids="groups dilation activation padding ceiling casts leaky axis scalar shapes flatten".split())  # fmt: skip
def test_what_has_no_kernel_stays_with_mxnet_and_says_why(layer, reason: str):
    net = make(nn.Conv2D(4, 3), nn.BatchNorm(), layer(), nn.Conv2D(3, 1), nn.Dense(5), shape=(2, 9, 9))
    lowered = lowering.inference(net, execution("float32"), (2, 9, 9))
    assert operators(lowered.symbol).count("zoo_program") == (0 if reason == "several dtypes" else 2)
    assert any(reason in each.reason for each in lowered.decisions)
    assert any(reason in row.reason for row in explain(net, execution("float32"), "infer", (2, 9, 9)).rows)
    compiled = zoo.compile(net, (2, 9, 9))
    assert not compiled.is_direct and reason in compiled.why
    data = np.random.default_rng(0).normal(size=(5, 2, 9, 9)).astype(np.float32)
    assert_agrees(compiled(data), net, data)


@needs_kernels
def test_what_several_take_ends_a_program():
    def function(F, x, first, second):
        x = first(x)
        return second(x) + F.sigmoid(x)

    net = make(nn.Conv2D(4, 3, padding=1), nn.Conv2D(4, 3, padding=1), shape=(4, 6, 6), function=function)
    lowered = lowering.inference(net, execution("float32"), (4, 6, 6))
    assert operators(lowered.symbol).count("zoo_program") == 2
    assert any("come from different operators" in each.reason for each in lowered.decisions)
    data = np.random.default_rng(0).normal(size=(3, 4, 6, 6)).astype(np.float32)
    assert_agrees(lowering.block(lowered.symbol, net)(mx.nd.array(data)).asnumpy(), net, data)


FLATTENED = {
    "a sum of a flattened image": lambda F, x, conv, dense: dense(conv(x)) + F.flatten(conv(x)),
    "an activation beside a reader": lambda F, x, conv, dense: (
        lambda pooled: F.relu(F.flatten(pooled)) + dense(pooled)
    )(F.Pooling(conv(x), global_pool=True, pool_type="avg", kernel=(1, 1))),
    "an activation beside a sum": lambda F, x, conv, dense: (lambda y: F.tanh(F.flatten(y)) + y)(dense(conv(x))),
}


@needs_kernels
@pytest.mark.parametrize("name", FLATTENED)
def test_flatten_is_no_copy_that_others_would_see_changed(name: str):
    size = 4 if "reader" in name else 64
    net = make(nn.Conv2D(4, 3, padding=1), nn.Dense(size), shape=(2, 4, 4), function=FLATTENED[name])
    block = lowering.for_inference(net, execution("float32"), (2, 4, 4))
    data = np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32)
    assert_agrees(block(mx.nd.array(data)).asnumpy(), net, data)


@needs_kernels
def test_weights_in_onednns_layout_are_read_right():
    """MXNet's own convolutions leave them so, and hands operators of extensions copies."""
    net = make(nn.Conv2D(32, 3), nn.Conv2D(32, 3), nn.Conv2D(16, 3, groups=2), nn.Conv2D(32, 3), shape=(16, 12, 12))
    block = lowering.for_inference(net, execution("float32"), (16, 12, 12))
    data = np.random.default_rng(0).normal(size=(3, 16, 12, 12)).astype(np.float32)
    for number in range(3):
        net[0].weight.data()[0, 1, 1, 1] = number
        assert_agrees(block(mx.nd.array(data)).asnumpy(), net, data)


@needs_kernels
def test_an_operator_refuses_images_of_another_shape():
    net = make(nn.Conv2D(4, 3), nn.GlobalAvgPool2D(), nn.Dense(2), shape=(1, 28, 28))
    block = lowering.for_inference(net, execution("float32"))
    assert_agrees(block(mx.nd.array(IMAGES)).asnumpy(), net, IMAGES)
    with pytest.raises(mx.base.MXNetError):
        block(mx.nd.zeros((1, 1, 10, 10))).asnumpy()


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_is_compiled(name: str):
    net = unsettled(name, seed=3)
    compiled = zoo.compile(net)
    assert compiled.is_direct == FOUND.usable, compiled.why
    for count in (1, 2, 5, 40):
        assert_agrees(compiled(IMAGES[:count]), net, IMAGES[:count])


def test_what_is_compiled_keeps_its_weights_and_an_operator_follows_them():
    net, other = zoo.get_model("lenet5", seed=0), zoo.get_model("lenet5", seed=1)
    compiled, block = zoo.compile(net), lowering.for_inference(net, execution("float32"))
    before = compiled(IMAGES)
    assert np.abs(block(mx.nd.array(IMAGES)).asnumpy() - before).max() < 1e-5
    weights.restore(net, weights.state(other))
    if FOUND.usable:
        assert np.array_equal(compiled(IMAGES), before)
        assert np.abs(block(mx.nd.array(IMAGES)).asnumpy() - zoo.compile(other)(IMAGES)).max() < 1e-5


def test_what_mxnet_runs_keeps_its_weights_too():
    net = make(nn.Conv2D(4, 3), nn.LeakyReLU(0.1), nn.Dense(3), shape=(1, 28, 28))
    compiled = zoo.compile(net)
    assert not compiled.is_direct
    before = compiled(IMAGES)
    for parameter in net.collect_params().values():
        parameter.set_data(parameter.data() * 2)
    assert np.array_equal(compiled(IMAGES), before)


_FORK = """
import os, numpy, zoo
compiled = zoo.compile(zoo.get_model("cnn7", seed=0), threads=2)
images = numpy.zeros((4, 1, 28, 28), numpy.float32)
expected = compiled(images)
child = os.fork()
if not child:
    os._exit(0 if numpy.allclose(compiled(images), expected) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


@needs_kernels
def test_a_forked_process_computes_on():
    """On one thread, for those of OpenMP stay behind."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _FORK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("by", ["a program", "MXNet"])
def test_threads_may_call_what_is_compiled_at_once(by: str, threads: int):
    net = zoo.get_model("sprint", seed=0)
    if by == "MXNet":
        net.add(nn.Activation("sigmoid"))
    compiled = zoo.compile(net, threads=threads)
    expected = [compiled(IMAGES[:count]) for count in range(1, 13)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda count: compiled(IMAGES[:count]), [*range(1, 13)] * 5))
    assert all(np.array_equal(one, each) for one, each in zip(found, expected * 5))


@needs_kernels
def test_more_threads_than_images_are_harmless():
    net = zoo.get_model("sprint", seed=0)
    compiled = zoo.compile(net, threads=50)
    for count in (2, 32, 33, 40):
        assert_agrees(compiled(IMAGES[:count]), net, IMAGES[:count])


def test_images_that_do_not_fit_are_refused():
    compiled = zoo.compile(zoo.get_model("mlp", seed=0))
    for images in (IMAGES[:, 0], [[0.5]], IMAGES[:0], IMAGES.astype(np.float64), (IMAGES * 255).astype(np.uint8)):
        with pytest.raises(zoo.ZooError, match=r"the images must be \(n, 1, 28, 28\) float32, not"):
            compiled(images)
    with pytest.raises(zoo.ZooError, match="2 outputs"):
        net = make(nn.Dense(2), shape=(1, 28, 28), function=lambda F, x, dense: [dense(x), x])
        zoo.compile(net)
    with pytest.raises(zoo.ZooError, match="threads must be at least 1"):
        zoo.compile(zoo.get_model("mlp"), threads=0)
    with pytest.raises(zoo.ZooError, match="not initialized"):
        zoo.compile(nn.Dense(2))
    with pytest.raises(zoo.ZooError, match=r"does not take images of \(1, 5, 5\): "):
        zoo.compile(zoo.get_model("lenet5", seed=0), (1, 5, 5))


@pytest.mark.skipif(not FOUND.convolution, reason="bfloat16 programs need AMX")
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_is_compiled_in_bfloat16(name: str):
    net = zoo.get_model(name, seed=0)
    compiled, exact = (zoo.compile(net, dtype=dtype) for dtype in ("bfloat16", "float32"))
    assert compiled.is_direct, compiled.why
    for count in (1, 3, 16, 40):
        found, expected = compiled(IMAGES[:count]), exact(IMAGES[:count])
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * np.abs(expected).max())


@pytest.mark.skipif(not FOUND.convolution, reason="bfloat16 programs need AMX")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_layers_are_one_program_in_bfloat16(name: str, threads: int):
    shape, layers = CASES[name]
    net = make(*(layer() for layer in layers), shape=shape)
    compiled = zoo.compile(net, shape, threads, "bfloat16")
    assert compiled.is_direct, compiled.why
    data = np.random.default_rng(0).normal(size=(37, *shape)).astype(np.float32)
    for count in (1, 2, 15, 37):
        expected = net(mx.nd.array(data[:count])).asnumpy()
        np.testing.assert_allclose(compiled(data[:count]), expected, rtol=0, atol=0.02 * np.abs(expected).max())


def test_a_network_is_not_compiled_in_other_dtypes():
    with pytest.raises(zoo.ZooError, match="compiled in auto, float32 or bfloat16, not 'int8'"):
        zoo.compile(zoo.get_model("mlp", seed=0), dtype="int8")
