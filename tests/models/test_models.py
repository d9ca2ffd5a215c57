"""The registry, and every model in it."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.models import weights
from zoo.models.architectures import MODELS
from zoo.registry import Registry
from zoo.runtime import mx

every_model = pytest.mark.parametrize("name", zoo.list_models())


@every_model
def test_maps_pixels_to_logits(name: str):
    net = zoo.get_model(name, seed=0)
    logits = net(mx.nd.random.uniform(shape=(3, 1, 28, 28)))
    assert logits.shape == (3, 10) and logits.dtype == np.float32
    assert np.isfinite(logits.asnumpy()).all()


@every_model
def test_card_counts_what_the_network_holds(name: str):
    card, net = zoo.get_card(name), zoo.get_model(name)
    trainable = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    assert card.parameters == sum(int(np.prod(parameter.shape)) for parameter in trainable)
    assert card.layers[-1].output_shape == (10,)
    assert card.source and card.summary and card.flops > 0


@pytest.mark.parametrize(
    "name, parameters, flops",
    [
        ("mlp", 784 * 128 + 128 + 128 * 10 + 10, 2 * (784 * 128 + 128 * 10)),
        ("mlp_128_64", 109_386, 2 * (784 * 128 + 128 * 64 + 64 * 10)),
        ("lenet5", 61_706, 2 * (28 * 28 * 6 * 25 + 100 * 16 * 150 + 120 * 400 + 120 * 84 + 840)),
        ("cnn7", 1_085_002, 80_284_160),
    ],
)
def test_parameters_and_flops_are_those_computed_by_hand(name: str, parameters: int, flops: int):
    assert (zoo.get_card(name).parameters, zoo.get_card(name).flops) == (parameters, flops)


def test_cnn7_is_the_report_s_network():
    operators = [(layer.operator, layer.output_shape) for layer in zoo.get_card("cnn7").layers]
    assert operators == [
        ("Convolution", (64, 26, 26)), ("Activation", (64, 26, 26)),
        ("Convolution", (64, 24, 24)), ("Activation", (64, 24, 24)),
        ("Dropout", (64, 24, 24)), ("BatchNorm", (64, 24, 24)), ("Pooling", (64, 12, 12)),
        ("Convolution", (128, 10, 10)), ("Activation", (128, 10, 10)),
        ("Convolution", (128, 8, 8)), ("Activation", (128, 8, 8)),
        ("Dropout", (128, 8, 8)), ("BatchNorm", (128, 8, 8)), ("Pooling", (128, 4, 4)),
        ("Convolution", (256, 2, 2)), ("Activation", (256, 2, 2)), ("Dropout", (256, 2, 2)), ("BatchNorm", (256, 2, 2)),
        ("FullyConnected", (512,)), ("Activation", (512,)), ("FullyConnected", (10,)), ("Activation", (10,)),
    ]  # fmt: skip


def test_the_tanh_on_the_output_bounds_the_logits():
    for name, bounded in (("cnn7", True), ("cnn7_logits", False), ("cnn7_relu", False)):
        net = zoo.get_model(name, seed=0)
        net.collect_params()["fc2_bias"].set_data(mx.nd.full(10, 7.0))
        logits = net(mx.nd.random.uniform(shape=(8, 1, 28, 28))).asnumpy()
        assert (np.abs(logits).max() <= 1) == bounded, name


@every_model
def test_the_seed_decides_the_initial_weights(name: str):
    hashes = [weights.parameter_hash(zoo.get_model(name, seed=seed)) for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


@every_model
def test_a_network_lives_on_every_context_asked_for(name: str):
    net = zoo.get_model(name, ctx=[mx.cpu(0), mx.cpu(1)], seed=0)
    pixels = mx.nd.random.uniform(shape=(2, 1, 28, 28))
    first, second = (net(pixels.as_in_context(ctx)).asnumpy() for ctx in (mx.cpu(0), mx.cpu(1)))
    assert (first == second).all()


def test_models_are_listed_by_pattern_and_weights():
    assert zoo.list_models("cnn7*") == ["cnn7", "cnn7_logits", "cnn7_relu"]
    assert zoo.list_models() == sorted(MODELS)
    assert sorted(zoo.list_models(pretrained=True) + zoo.list_models(pretrained=False)) == zoo.list_models()


def test_an_unknown_model_is_answered_with_close_ones():
    with pytest.raises(zoo.UnknownName, match="there is no model 'cnn': did you mean cnn7?"):
        zoo.get_model("cnn")
    with pytest.raises(zoo.UnknownName, match=f"there are {', '.join(zoo.list_models())}"):
        zoo.get_card("yolo")


def test_pretrained_weights_that_do_not_exist_are_refused():
    missing = zoo.list_models(pretrained=False)[0]
    with pytest.raises(zoo.UnknownName, match=f"no pretrained weights for {missing}"):
        zoo.get_model(missing, pretrained=True)


def test_a_name_can_be_registered_once():
    registry: Registry[int] = Registry("thing")
    registry.add("one", 1)
    with pytest.raises(ValueError, match="the thing 'one' is registered already"):
        registry.add("one", 2)
    assert registry["one"] == 1 and "one" in registry and list(registry) == ["one"]
