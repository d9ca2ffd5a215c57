"""The project's own operators against MXNet's: same function, same gradients, same distribution in Dropout."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from conftest import BFLOAT16, needs_bfloat16
from networks import execution

import zoo
from zoo import kernels
from zoo.graph import lowering
from zoo.graph.ir import Graph
from zoo.models import weights
from zoo.runtime import STATUS, mx

nn = mx.gluon.nn
CPU = [mx.cpu()]
FOUND = kernels.available()
needs_kernels = pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)
needs_amx = pytest.mark.skipif(not FOUND.convolution, reason=f"AMX: {STATUS.amx_reason}; kernels: {FOUND.reason}")


@pytest.mark.skipif(os.environ.get(kernels.SWITCH) == "0", reason=f"{kernels.SWITCH}=0")
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
def test_kernels_are_there_where_a_compiler_is():
    """Without this test, kernels that no longer compile would merely skip the following ones."""
    assert FOUND.usable, FOUND.reason
    assert FOUND.convolution == STATUS.amx


def sequential(*layers: mx.gluon.HybridBlock, data: np.ndarray, seed: int = 0) -> nn.HybridSequential:
    """An initialized network whose parameters are exact in bfloat16, biases and scales included."""
    net = nn.HybridSequential()
    net.add(*layers)
    net.initialize(mx.init.Xavier())
    net(mx.nd.array(data))
    random = np.random.default_rng(seed)
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
        parameter.set_data(mx.nd.array(rounded(parameter.data().asnumpy())))
    return net


def rounded(values: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16 numbers, as float32."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def operators(block: mx.gluon.HybridBlock) -> list[str]:
    return [node.operator for node in Graph.of(block(mx.sym.var("data"))).nodes() if not node.is_variable]


def passes(block, net, data: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Outputs and gradients of a training pass, under a head gradient that differs for every output."""
    x = mx.nd.array(data)
    x.attach_grad()
    mx.random.seed(seed)
    with mx.autograd.record():
        out = block(x)
        head = np.random.default_rng(1).normal(size=out.shape).astype(np.float32)
        loss = (out * mx.nd.array(rounded(head))).sum()
    loss.backward()
    mx.nd.waitall()
    found = {"output": out.asnumpy(), "data": x.grad.asnumpy()}
    for name, parameter in net.collect_params().items():
        found[name] = (parameter.grad() if parameter.grad_req != "null" else parameter.data()).asnumpy()
    return found


def without_data(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convolutions on AMX leave out the input gradient of the first layer, before which nothing is trained."""
    return {name: value for name, value in found.items() if name != "data"}


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float) -> None:
    """Compare relative to the size of each array: single numbers may differ at the kink of ReLU."""
    for name, value in expected.items():
        assert np.linalg.norm(found[name] - value) <= tolerance * (np.linalg.norm(value) + 1e-6), name


@needs_kernels
@pytest.mark.parametrize("shape", [(4, 5, 8, 8), (3, 2, 7, 9), (2, 33, 2, 2), (1, 3, 24, 24)])
@pytest.mark.parametrize("before", [None, "tanh", "relu"])
@pytest.mark.parametrize("relu, pool", [(False, False), (True, False), (False, True), (True, True)])
def test_a_chain_computes_what_its_operators_compute(shape, before, relu, pool):
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    layers = [nn.Activation(before)] if before else []
    layers += [nn.BatchNorm(scale=shape[1] != 5)]
    layers += [nn.Activation("relu")] if relu else []
    layers += [nn.MaxPool2D()] if pool else []
    net = sequential(*layers, data=data)
    block = lowering.for_training(net, execution("float32"), shape[1:])
    assert operators(block) == ["zoo_chain"]
    running = {name: parameter.data().copy() for name, parameter in net.collect_params(".*running").items()}
    expected = passes(net, net, data)
    for name, value in running.items():
        net.collect_params()[name].set_data(value)
    assert_close(passes(block, net, data), expected, 2e-5)


@needs_kernels
def test_dropout_in_a_chain_has_the_gradient_of_its_own_mask():
    data = np.random.default_rng(0).normal(size=(6, 4, 6, 6)).astype(np.float32)
    net = sequential(nn.Activation("tanh"), nn.Dropout(0.3), nn.BatchNorm(), data=data)
    block = lowering.for_training(net, execution("float32"), data.shape[1:])
    gradient = passes(block, net, data, seed=5)["data"]
    direction = np.random.default_rng(2).normal(size=data.shape).astype(np.float32)

    def value(step: float) -> float:
        out = passes(block, net, data + step * direction, seed=5)["output"]
        return float((out.astype(np.float64) * rounded(np.random.default_rng(1).normal(size=out.shape))).sum())

    assert (value(0.01) - value(-0.01)) / 0.02 == pytest.approx(float((gradient * direction).sum()), rel=0.02)


@needs_kernels
@pytest.mark.parametrize("p", [0.05, 0.2, 0.25, 0.5, 0.9])
def test_dropout_has_its_distribution(p: float):
    """Independent Bernoulli draws, scaled up by 1 / (1 - p): within five standard deviations of the expectation."""
    net = nn.HybridSequential()
    net.add(nn.Dropout(p))
    block = lowering.for_training(net, execution("float32"))
    assert operators(block) == ["zoo_dropout"]
    ones = np.ones((200, 3000), np.float32)  # several pieces of a mask, the last one not full
    mx.random.seed(3)
    first, second = (passes(block, net, ones, seed)["output"] for seed in (3, 4))
    assert np.allclose(np.unique(first), [0, 1 / (1 - p)])
    dropped = first == 0
    deviation = np.sqrt(p * (1 - p))
    assert abs(dropped.mean() - p) < 5 * deviation / np.sqrt(dropped.size)
    for axis in (0, 1):  # every row and column gets its share: the counts have a binomial variance
        share = dropped.mean(axis=axis)
        expected = deviation**2 / dropped.shape[axis]
        assert abs(share.var() / expected - 1) < 5 * np.sqrt(2 / len(share))
    flat = dropped.ravel().astype(np.float64) - p
    for distance in (1, 2, 7, 8, 16, 127, 128, 4096):  # neighbours of any kind are independent
        assert abs((flat[:-distance] * flat[distance:]).mean()) < 5 * deviation**2 / np.sqrt(flat.size)
    other = (second == 0).ravel().astype(np.float64) - p  # nor does the next batch
    assert abs((flat * other).mean()) < 5 * deviation**2 / np.sqrt(flat.size)


@needs_kernels
def test_dropout_repeats_with_the_seed_and_its_gradient_is_the_mask():
    net = nn.HybridSequential()
    net.add(nn.Dropout(0.4))
    block = lowering.for_training(net, execution("float32"))
    data = np.ones((50, 70), np.float32)
    one, same, other = (passes(block, net, data, seed) for seed in (1, 1, 2))
    assert np.array_equal(one["output"], same["output"]) and not np.array_equal(one["output"], other["output"])
    assert np.array_equal(one["data"] != 0, one["output"] != 0)


@needs_amx
@pytest.mark.parametrize("batch, channels, size, filters, kernel, pad", [
    (9, 1, (28, 28), 6, 5, 2),  # few channels: unfolded
    (3, 3, (9, 7), 33, 3, 0),
    (2, 16, (8, 8), 32, 3, 1),
    (40, 33, (4, 5), 40, 3, 0),  # many small images side by side, the last group not full
    (5, 64, (12, 12), 70, 1, 0),
    (2, 20, (6, 11), 17, 5, 2),
    (1, 40, (26, 26), 96, 3, 0),  # one image for several threads
])  # fmt: skip
@pytest.mark.parametrize("activation", [None, "tanh", "relu"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_convolution_on_amx(batch, channels, size, filters, kernel, pad, activation, use_bias):
    random = np.random.default_rng(0)
    data = rounded(random.normal(size=(batch, channels, *size)))
    net = sequential(
        nn.Conv2D(3, 1, in_channels=channels),  # a trainable layer before it, so that the data's gradient counts
        nn.Conv2D(filters, kernel, padding=pad, activation=activation, use_bias=use_bias),
        data=data,
    )
    block = lowering.for_training(net, execution("bfloat16"), data.shape[1:])
    assert operators(block).count("zoo_convolution") == 2
    assert_close(passes(block, net, data), without_data(passes(net, net, data)), 0.1 if activation == "relu" else 0.02)


@needs_amx
@pytest.mark.parametrize("batch", [1, 5, 37])  # groups of one, uneven ones, full ones
@pytest.mark.parametrize("activation", [None, "tanh", "relu"])
@pytest.mark.parametrize("shape, filters", [((1, 21, 19), (6, 40)), ((3, 13, 30), (33, 64)), ((20, 9, 8), (64, 17))])
def test_a_run_of_layers_predicts_what_its_operators_predict(batch, activation, shape, filters):
    """Pooling of odd planes after BatchNorm with scales of either sign, padding, and dense layers at the end."""
    data = rounded(np.random.default_rng(0).normal(size=(batch, *shape)))
    net = sequential(
        nn.Conv2D(filters[0], 5, padding=2, activation=activation),
        nn.BatchNorm(),
        nn.MaxPool2D(),
        nn.Conv2D(filters[1], 3, padding=1, use_bias=False),
        nn.BatchNorm(),
        nn.Activation("relu"),
        nn.Conv2D(filters[0], (2, 3), activation=activation),
        nn.Dense(11, activation=activation),
        nn.Dense(10),
        data=data,
    )
    for gamma in net.collect_params(".*gamma").values():
        gamma.set_data(gamma.data() * mx.nd.array(np.resize([1, -1, 1], gamma.shape)))
    block = lowering.for_inference(net, execution("bfloat16"), shape)
    assert operators(block) == ["zoo_network"]
    expected, found = (each(mx.nd.array(data)).asnumpy() for each in (net, block))
    assert_close({"output": found}, {"output": expected}, 0.03)


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", *BFLOAT16])
def test_what_two_layers_share_is_left_to_mxnet(dtype: str):
    """A residual connection accumulates gradients in place, which extensions cannot do."""

    class Residual(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2D(8, 3, padding=1, in_channels=8), nn.BatchNorm(in_channels=8)

        def hybrid_forward(self, F, x):
            return self.norm(x) + self.conv(x) + x

    data = rounded(np.random.default_rng(0).normal(size=(4, 8, 6, 6)))
    net = sequential(nn.Conv2D(8, 3, padding=1), Residual(), nn.Conv2D(4, 3), data=data)
    block = lowering.for_training(net, execution(dtype), data.shape[1:])
    expected = {name: value for name, value in without_data(passes(net, net, data)).items() if "running" not in name}
    assert_close(passes(block, net, data), expected, 1e-4 if dtype == "float32" else 0.03)


@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_predicts_the_same_in_every_dtype(name: str, mnist):
    from zoo.training import Predictor

    net = zoo.get_model(name, seed=1)
    images = mnist.test[:300]
    plain = net(mx.nd.array(images.images[:, None] / np.float32(255))).asnumpy()
    tolerances = {"float32": 1e-5, "bfloat16": 0.03, "int8": 0.1}
    for dtype in ("float32", *BFLOAT16, "int8"):
        found = Predictor(net, images, CPU, 128, dtype, mnist.train[-200:]).evaluate().logits
        assert np.abs(found - plain).max() <= tolerances[dtype] * np.abs(plain).max(), dtype


@pytest.mark.parametrize("dtype", ["float32", *BFLOAT16])
@pytest.mark.parametrize("name", zoo.list_models())
def test_predictions_follow_the_weights(name: str, dtype: str, mnist):
    """Fused operators keep their weights in other layouts, which must not outlive the weights."""
    from zoo.training import Predictor

    net, other = zoo.get_model(name, seed=1), zoo.get_model(name, seed=2)
    before, expected = (Predictor(each, mnist.test[:50], CPU, 50, dtype).evaluate().logits for each in (net, other))
    weights.restore(net, weights.state(other))
    after = Predictor(net, mnist.test[:50], CPU, 50, dtype).evaluate().logits
    assert np.array_equal(after, expected) and not np.array_equal(after, before)


@needs_bfloat16
@pytest.mark.parametrize("name", ["cnn7", "cnn7_logits", "cnn7_relu"])
def test_bfloat16_learns_as_float32_does(name: str, mnist):
    curves = {}
    for dtype in ("float32", "bfloat16"):
        net = zoo.get_model(name, seed=0)
        recipe = zoo.Recipe(epochs=3, batch_size=100, learning_rate=0.02, dtype=dtype)  # before, it varies by seeds
        curves[dtype] = zoo.fit(net, mnist.train[:2000], mnist.train[-2000:], recipe, progress=False).records[-1]
        assert {np.dtype(parameter.dtype) for parameter in net.collect_params().values()} == {np.dtype("float32")}
    assert curves["bfloat16"].train_loss == pytest.approx(curves["float32"].train_loss, rel=0.05)
    assert abs(curves["bfloat16"].validation_accuracy - curves["float32"].validation_accuracy) < 0.05


def test_an_export_knows_nothing_of_it(mnist):
    net = zoo.get_model("cnn7", seed=0)
    zoo.fit(net, mnist.train[:200], None, zoo.Recipe(epochs=1, batch_size=100), progress=False)
    used = operators(net)
    assert used.count("Dropout") == 3 and used.count("BatchNorm") == 3 and not any("zoo" in name for name in used)
