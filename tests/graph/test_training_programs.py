"""Networks in training as programs: their gradients are those of Gluon, for any batch, and they say what they leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from networks import execution, make

import zoo
from zoo import kernels
from zoo.graph import lowering
from zoo.graph.explanation import explain
from zoo.graph.ir import Graph, symbol_of
from zoo.graph.passes import dropout, training_programs
from zoo.graph.shapes import infer
from zoo.models import weights
from zoo.runtime import mx
from zoo.training import steps
from zoo.training.session import TrainingSession

nn = mx.gluon.nn
FOUND = kernels.available()
pytestmark = pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)
Arrays = Mapping[str, np.ndarray]


def passes(symbol: mx.sym.Symbol, start: Arrays, data: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """Output, all gradients and the running statistics of ``symbol`` with the weights ``start``, for a fixed loss."""
    block = lowering.block(symbol)
    for name, parameter in block.collect_params().items():
        parameter.shape, parameter.dtype = start[name].shape, dtype
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(mx.nd.array(start[name], dtype=dtype))
    block.hybridize()
    with mx.autograd.record():
        output = block(mx.nd.array(data, dtype=dtype))
    output.backward(mx.nd.array(np.random.default_rng(2).standard_normal(output.shape), dtype=dtype))
    found = {"output": output.asnumpy()}
    for name, parameter in block.collect_params().items():
        found[name] = (parameter.data() if parameter.grad_req == "null" else parameter.grad()).asnumpy()
    return found


def compared(net: mx.gluon.HybridBlock, data: np.ndarray) -> tuple[list[str], Arrays, Arrays]:
    """The operators of ``net`` as a program, without Dropout, what they compute, and what Gluon does in float64."""
    start = {name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()}
    graph = Graph.of(symbol_of(net))
    dropout.remove(graph)
    exact = passes(graph.symbol(), start, data, "float64")
    training_programs.form(graph, infer(graph, {"data": (1, *data.shape[1:])}))
    symbol = graph.symbol()
    names = [node.operator for node in Graph.of(symbol).nodes() if not node.is_variable]
    return names, passes(symbol, start, data, "float32"), exact


def errors(found: Arrays, exact: Arrays) -> dict[str, float]:
    """Relative to the size of each array."""
    return {
        name: float(np.linalg.norm(found[name] - value) / (np.linalg.norm(value) + 1e-6))
        for name, value in exact.items()
        if name in found or not name.endswith("gamma")  # a scale that is fixed at 1 is no parameter of a program
    }


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_model_has_the_gradients_of_float64(name: str):
    data = np.random.default_rng(0).random((8, 1, 28, 28), np.float32)
    operators, found, exact = compared(zoo.get_model(name, seed=0), data)
    assert operators == ["zoo_training"]
    assert np.median(list(errors(found, exact).values())) < 5e-4


CASES = {
    "convolutions": ((3, 11, 9), [
        lambda: nn.Conv2D(5, 3, padding=1), lambda: nn.Conv2D(70, (2, 3), activation="tanh"),
    ]),
    "wide kernels": ((1, 12, 12), [lambda: nn.Conv2D(9, 7, padding=5, activation="relu"), lambda: nn.Conv2D(1, 1)]),
    "pools": ((4, 13, 13), [
        lambda: nn.Conv2D(9, 1), lambda: nn.MaxPool2D(3, 2, padding=1), lambda: nn.Conv2D(20, 1, activation="tanh"),
        lambda: nn.AvgPool2D((2, 3)), lambda: nn.Activation("relu"), lambda: nn.GlobalMaxPool2D(),
    ]),
    "means": ((2, 6, 7), [lambda: nn.Conv2D(17, 2), lambda: nn.GlobalAvgPool2D(), lambda: nn.Dense(3)]),
    "norms": ((1, 8, 8), [
        lambda: nn.BatchNorm(), lambda: nn.Conv2D(6, 3, use_bias=False), lambda: nn.Activation("tanh"),
        lambda: nn.Activation("relu"), lambda: nn.BatchNorm(scale=False), lambda: nn.Dense(130, activation="tanh"),
        lambda: nn.BatchNorm(), lambda: nn.Activation("relu"), lambda: nn.Dense(10),
    ]),
    "vectors": ((19,), [lambda: nn.Dense(33, activation="relu"), lambda: nn.BatchNorm(), lambda: nn.Dense(2)]),
    "flat": ((3, 4, 5), [lambda: nn.Conv2D(6, 2), lambda: nn.Flatten()]),
    "dense after a convolution": ((2, 9, 9), [lambda: nn.Conv2D(12, 3, activation="relu"), lambda: nn.Dense(7)]),
    "Winograd": ((20, 14, 14), [
        lambda: nn.Conv2D(40, 3, padding=1), lambda: nn.Conv2D(33, 5, activation="tanh"), lambda: nn.Conv2D(24, 7),
    ]),
    "after MXNet": ((3, 12, 12), [lambda: nn.Conv2D(8, 3, strides=2), lambda: nn.Conv2D(9, 3), lambda: nn.Dense(4)]),
}  # fmt: skip
FUNCTIONS = {
    "residual": (
        (8, 6, 6), [lambda: nn.Conv2D(8, 3, padding=1), lambda: nn.BatchNorm(), lambda: nn.Conv2D(4, 3)],
        lambda F, x, conv, norm, last: last((lambda y: norm(y) + F.tanh(y) + y)(conv(x))),
    ),
    "scalars": (
        (1, 7, 7), [lambda: nn.Conv2D(4, 3), lambda: nn.Dense(3)],
        lambda F, x, conv, dense: (dense(F.relu(conv(x) * 3 - 0.2) / 2 + 1) + 0.5) * 2,
    ),
    "the input twice": (
        (2, 5, 5), [lambda: nn.Conv2D(2, 3, padding=1), lambda: nn.Conv2D(3, 2, strides=2)],
        lambda F, x, conv, strided: F.concat(F.Flatten(conv(x) + x), F.Flatten(strided(x)), dim=1),
    ),
    "a shared input": (
        (2, 8, 8), [lambda: nn.Conv2D(6, 3, strides=2), lambda: nn.Conv2D(5, 1), lambda: nn.Conv2D(3, 2)],
        lambda F, x, first, left, right: F.concat(*[F.Flatten(each(first(x))) for each in (left, right)], dim=1),
    ),
}  # fmt: skip


@pytest.mark.usefixtures("lanes")
@pytest.mark.parametrize("case", [*CASES, *FUNCTIONS])
@pytest.mark.parametrize("batch", [1, 5, 33])
def test_gradients_are_those_of_gluon_for_any_batch(case: str, batch: int):
    shape, layers, *function = CASES[case] if case in CASES else FUNCTIONS[case]
    net = make(*(layer() for layer in layers), shape=shape, function=function[0] if function else None)
    vectors = case in ("vectors", "norms")  # BatchNorm makes zeros of one vector, and has no gradient for two
    data = np.random.default_rng(0).standard_normal((max(batch, 3 * vectors), *shape)).astype(np.float32)
    operators, found, exact = compared(net, data)
    assert "zoo_training" in operators
    assert max(errors(found, exact).values()) < 2e-4


@pytest.mark.usefixtures("lanes")
def test_dropout_has_the_gradient_of_its_own_mask():
    shape = (3, 8, 8)
    net = make(
        nn.Conv2D(6, 3, activation="tanh"), nn.Dropout(0.3), nn.BatchNorm(), nn.AvgPool2D(), nn.Dropout(0.4),
        nn.Dense(5), shape=shape,
    )  # fmt: skip
    block = lowering.for_training(net, execution("float32"), shape)
    assert [node.operator for node in Graph.of(symbol_of(block)).nodes() if not node.is_variable] == ["zoo_training"]
    data = mx.nd.array(np.random.default_rng(0).standard_normal((40, *shape)))
    weight = net[0].weight
    start = weight.data().copy()
    direction = np.random.default_rng(2).standard_normal(weight.shape)

    def loss(step: float) -> float:
        weight.set_data(start + mx.nd.array(step * direction))
        mx.random.seed(5)
        with mx.autograd.record():
            out = block(data)
            total = (out * mx.nd.array(np.random.default_rng(1).standard_normal(out.shape))).sum()
        total.backward()
        return float(total.asscalar())

    loss(0)
    slope = float((weight.grad().asnumpy() * direction).sum())
    assert (loss(2e-3) - loss(-2e-3)) / 4e-3 == pytest.approx(slope, rel=0.02)


@pytest.mark.usefixtures("lanes")
def test_gradients_are_finite_where_all_images_are_the_same():
    """BatchNorm then multiplies by hundreds, layer after layer, what is no image of the batch."""
    layers = [layer for _ in range(20) for layer in (nn.Dense(8), nn.BatchNorm(), nn.Activation("relu"))]
    net = make(*layers, shape=(8,))
    block = lowering.for_training(net, execution("float32"), (8,))
    with mx.autograd.record():
        out = block(mx.nd.ones((31, 8)))
    out.backward()
    for name, parameter in net.collect_params().items():
        assert parameter.grad_req == "null" or np.isfinite(parameter.grad().asnumpy()).all(), name


def test_frozen_parameters_are_left_alone():
    shape = (1, 8, 8)
    net = make(nn.Conv2D(4, 3), nn.BatchNorm(), nn.Dense(3), shape=shape)
    for name in ("weight", "gamma", "bias"):
        for parameter in net[: 2 if name != "bias" else 1].collect_params(f".*{name}").values():
            parameter.grad_req = "null"
    block = lowering.for_training(net, execution("float32"), shape)
    with mx.autograd.record():
        out = block(mx.nd.ones((4, *shape)))
    out.backward()
    assert np.isfinite(net[2].weight.grad().asnumpy()).all()


def test_many_batches_may_pass_forward_before_one_passes_backward():
    net = make(nn.Dense(4, activation="tanh"), nn.Dense(2), shape=(6,))
    block = lowering.for_training(net, execution("float32"), (6,))
    data = [mx.nd.array(np.random.default_rng(number).random((3, 6))) for number in range(70)]
    with mx.autograd.record():
        outputs = [block(each) for each in data]
    outputs[-1].backward()
    late = net[0].weight.grad().asnumpy()
    with mx.autograd.record():
        out = block(data[-1])
    out.backward()
    np.testing.assert_array_equal(late, net[0].weight.grad().asnumpy())
    with pytest.raises(mx.base.MXNetError):
        outputs[0].backward()
        mx.nd.waitall()


REASONS = {
    "it has strides": nn.Conv2D(4, 3, strides=2),
    "its padding is not smaller than its kernel": nn.Conv2D(4, 3, padding=3),
    "it normalizes by its running statistics in training, too": nn.BatchNorm(use_global_stats=True),
    "its activation is sigmoid": nn.Activation("sigmoid"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_explain_says_what_is_left_to_mxnet(reason: str):
    net = make(nn.Conv2D(3, 3), REASONS[reason], nn.Dense(2), shape=(1, 9, 9))
    rows = explain(net, execution("float32"), "train", (1, 9, 9)).rows
    assert reason in {each for row in rows for each in row.reason.split("; ")}


@pytest.mark.parametrize("optimizer", [{}, {"momentum": 0.9}, {"momentum": 0.9, "optimizer": "nag"}])
@pytest.mark.parametrize("name", ["mlp", "nano"])
def test_a_whole_step_computes_what_its_parts_compute(name: str, optimizer: dict, mnist, monkeypatch):
    recipe = replace(zoo.Recipe(epochs=1, batch_size=50, weight_decay=1e-3, learning_rate=0.1), **optimizer)
    trained = []
    for whole in (steps.whole, lambda *arguments: None):
        monkeypatch.setattr(steps, "whole", whole)
        net = zoo.get_model(name, seed=0)
        zoo.fit(net, mnist.train[:420], recipe=recipe)
        trained.append(weights.state(net))
    for path, value in trained[0].items():
        np.testing.assert_array_equal(value, trained[1][path], err_msg=path)


def test_a_step_is_one_operator_where_sgd_trains_a_network_of_kernels_on_one_cpu(mnist):
    def stepper(ctx: object = None, **settings: object) -> str:
        net = zoo.get_model("nano", seed=0)
        if ctx is not None:
            net.collect_params().reset_ctx(ctx)
        recipe = replace(zoo.Recipe(batch_size=50, dtype="float32"), **settings)
        return type(TrainingSession(net, mnist.train[:100], recipe, ctx)._stepper).__name__

    assert stepper() == "WholeStep"
    assert stepper(optimizer="adam") == "SeparateSteps"
    assert stepper([mx.cpu(0), mx.cpu(1)]) == "SeparateSteps"
