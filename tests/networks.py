"""Networks that exports are tested with."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable

import numpy as np

import zoo
from zoo import kernels
from zoo.graph.execution import Execution
from zoo.runtime import mx

VISION = tuple(re.findall(r"'([\w.]+)': \w+", inspect.getsource(mx.gluon.model_zoo.vision.get_model)))
# Smallest sizes they accept; larger for mobilenet and resnet, as rounding does not average out over one last pixel.
_SIZES = {"alexnet": 64, "densenet": 224, "inceptionv3": 299, "mobilenet": 96, "resnet": 64, "squeezenet": 217}
_NOISE = np.random.default_rng(0).standard_normal(1_000_003, np.float32)


def is_slow(name: str) -> bool:
    """Whether the network ``name`` of this zoo takes minutes when others take seconds."""
    return zoo.get_card(name).flops > 10**8


def execution(dtype: str, *placed: mx.Context) -> Execution:
    """An execution in ``dtype`` on ``placed`` (``cpu(0)`` if empty), whether such a device exists here or not."""
    found = kernels.available()
    on_cpu = all(context.device_type == "cpu" for context in placed)
    return Execution(placed or (mx.cpu(0),), dtype, on_cpu and found.usable, on_cpu and found.convolution)


def unsettled(name: str, seed: int) -> mx.gluon.HybridBlock:
    """A network of this zoo whose running statistics, biases and scales are not what they were initialized with."""
    net = zoo.get_model(name, seed=seed)
    random = np.random.default_rng(seed)
    for path, parameter in net.collect_params().items():
        if not path.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    return net


def vision(name: str) -> tuple[mx.gluon.HybridBlock, np.ndarray]:
    """A network of MXNet's own zoo with random weights, and images that it tells apart.

    With random running statistics, differences between images would vanish or outputs explode, so each BatchNorm gets
    the statistics of its own input. Its scale is small so that the deepest networks do not amplify rounding.
    """
    size = next((size for start, size in _SIZES.items() if name.startswith(start)), 32)
    coarse = np.random.default_rng(0).standard_normal((2, 3, 4, 4), np.float32)
    images = np.repeat(np.repeat(coarse, -(-size // 4), axis=2), -(-size // 4), axis=3)[:, :, :size, :size]
    net = mx.gluon.model_zoo.vision.get_model(name, classes=10)
    net.initialize(mx.init.Zero())
    net(mx.nd.array(images[:1])).wait_to_read()
    for path, parameter in net.collect_params().items():
        if path.endswith("weight"):
            noise = np.resize(_NOISE, parameter.shape) * np.float32(np.sqrt(2 / np.prod(parameter.shape[1:])))
            parameter.set_data(mx.nd.array(noise))
        elif path.endswith(("gamma", "beta", "bias")):
            random = np.random.default_rng(len(path)).uniform(0.1, 0.2, parameter.shape)
            parameter.set_data(mx.nd.array(random if path.endswith("gamma") else random - 0.15))
    hooks: list = []

    def settle(layer: mx.gluon.HybridBlock, inputs: tuple) -> None:
        mean = inputs[0].mean(axis=(0, 2, 3))
        spread = (inputs[0] - mean.reshape((1, -1, 1, 1))).square().mean()  # that of a single channel may be close to 0
        layer.running_mean.set_data(mean)
        layer.running_var.set_data(spread * mx.nd.array(np.random.default_rng(0).uniform(0.8, 1.2, mean.shape)))

    def watch(layer: mx.gluon.HybridBlock) -> None:
        if isinstance(layer, mx.gluon.nn.BatchNorm):
            hooks.append(layer.register_forward_pre_hook(settle))

    net.apply(watch)
    largest = np.abs(net(mx.nd.array(images)).asnumpy()).max()
    for hook in hooks:
        hook.detach()
    for parameter in net.output.collect_params().values():  # the last layer's, for outputs around 1
        parameter.set_data(parameter.data() / largest)
    return net, images


def of(symbol: mx.sym.Symbol, input_shape: tuple[int, ...]) -> mx.gluon.SymbolBlock:
    """``symbol`` as a network with random parameters between 0.5 and 1.5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        block = mx.gluon.SymbolBlock(symbol, [mx.sym.var("data")])
    names, (shapes, _, states) = symbol.list_arguments(), symbol.infer_shape(data=(2, *input_shape))
    known = {**dict(zip(names, shapes)), **dict(zip(symbol.list_auxiliary_states(), states))}
    random = np.random.default_rng(0)
    for name, parameter in block.collect_params().items():
        parameter.shape = known[name]
        parameter.initialize(mx.init.Zero())
        parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, known[name])))
    return block


class Block(mx.gluon.nn.HybridSequential):
    """A network made of layers and, for what is no layer, a function of ``F``, an array and the layers."""

    def __init__(self, function: Callable, *layers: mx.gluon.HybridBlock) -> None:
        super().__init__()
        self.function = function
        self.add(*layers)

    def hybrid_forward(self, F, x):
        return self.function(F, x, *self)


def make(*layers: mx.gluon.HybridBlock, shape: tuple, function: Callable | None = None) -> mx.gluon.HybridBlock:
    """An initialized network whose statistics, biases and scales are not what they were initialized with."""
    net = Block(function, *layers) if function else mx.gluon.nn.HybridSequential()
    if not function:
        net.add(*layers)
    mx.random.seed(0)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, *shape)))
    random = np.random.default_rng(1)
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    return net
