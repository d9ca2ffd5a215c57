"""Networks as programs: they compute what Gluon computes, at any batch size, and say what they leave to MXNet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from networks import execution, unsettled

import zoo
from zoo import kernels
from zoo.graph import lowering
from zoo.graph.ir import Graph
from zoo.models import weights
from zoo.runtime import mx

nn = mx.gluon.nn
FOUND = kernels.available()
needs_kernels = pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)
IMAGES = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)


class Block(nn.HybridSequential):
    """A network made of layers and, for what is no layer, functions of ``F`` and arrays."""

    def __init__(self, function: Callable, *layers: mx.gluon.HybridBlock) -> None:
        super().__init__()
        self.function = function
        self.add(*layers)

    def hybrid_forward(self, F, x):
        return self.function(F, x, *self)


def make(*layers: mx.gluon.HybridBlock, shape: tuple, function: Callable | None = None) -> mx.gluon.HybridBlock:
    """An initialized network whose statistics, biases and scales are not what they were initialized with."""
    net = Block(function, *layers) if function else nn.HybridSequential()
    if not function:
        net.add(*layers)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, *shape)))
    random = np.random.default_rng(1)
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    return net


def assert_agrees(found: np.ndarray, net: mx.gluon.HybridBlock, data: np.ndarray) -> None:
    expected = net(mx.nd.array(data)).asnumpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


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
    (lambda: nn.LeakyReLU(0.1), "no kernel"),
    (lambda: nn.BatchNorm(axis=2), "axis 2"),
    (lambda: nn.HybridLambda(lambda F, x: x * 1e35), "too large"),
    (lambda: nn.HybridLambda(lambda F, x: F.broadcast_add(x, F.max(x, axis=1, keepdims=True))), "different shapes"),
    (lambda: nn.HybridLambda(lambda F, x: F.Flatten(x).tanh().reshape((0, 4, 7, 7))), "after Flatten"),
], ids=["groups", "dilation", "sigmoid", "padding", "ceil", "leaky", "axis", "scalar", "shapes", "flat"])  # fmt: skip
def test_what_has_no_kernel_stays_with_mxnet_and_says_why(layer, reason: str):
    net = make(nn.Conv2D(4, 3), nn.BatchNorm(), layer(), nn.Conv2D(3, 1), nn.Dense(5), shape=(2, 9, 9))
    lowered = lowering.inference(net, execution("float32"), (2, 9, 9))
    assert operators(lowered.symbol).count("zoo_program") == 2
    assert any(reason in each.reason for each in lowered.decisions)
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
    assert any("do not come from one program" in each.reason for each in lowered.decisions)
    data = np.random.default_rng(0).normal(size=(3, 4, 6, 6)).astype(np.float32)
    assert_agrees(lowering.block(lowered.symbol, net)(mx.nd.array(data)).asnumpy(), net, data)


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


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_may_call_one_program_at_once(threads: int):
    net = zoo.get_model("sprint", seed=0)
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
    with pytest.raises(zoo.ZooError, match="threads must be at least 1"):
        zoo.compile(zoo.get_model("mlp"), threads=0)
    with pytest.raises(zoo.ZooError, match="not initialized"):
        zoo.compile(nn.Dense(2))
    with pytest.raises(zoo.ZooError, match=r"does not take images of \(1, 5, 5\): "):
        zoo.compile(zoo.get_model("lenet5", seed=0), (1, 5, 5))
