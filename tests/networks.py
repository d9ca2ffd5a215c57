"""Networks that exports are tested with."""

from __future__ import annotations

import inspect
import re
import warnings

import numpy as np

import zoo
from zoo.runtime import mx

VISION = tuple(re.findall(r"'([\w.]+)': \w+", inspect.getsource(mx.gluon.model_zoo.vision.get_model)))
_SIZES = {"alexnet": 64, "densenet": 224, "inceptionv3": 299, "squeezenet": 209}  # the least they take; others take 32


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

    Random statistics would let the images' differences vanish or the outputs explode, so that those of the images
    themselves are put into every BatchNorm, with random scales and shifts.
    """
    size = next((size for start, size in _SIZES.items() if name.startswith(start)), 32)
    random = np.random.default_rng(0)
    images = random.random((3, 3, size, size), np.float32)
    mx.random.seed(0)
    net = mx.gluon.model_zoo.vision.get_model(name, classes=10)
    net.initialize(mx.init.MSRAPrelu())
    net.apply(lambda block: block._kwargs.update(momentum=0) if isinstance(block, mx.gluon.nn.BatchNorm) else None)
    with mx.autograd.train_mode():
        net(mx.nd.array(images)).wait_to_read()
    for path, parameter in net.collect_params().items():
        if path.endswith(("gamma", "beta", "bias")):
            parameter.set_data(mx.nd.array(random.uniform(0.8, 1.2, parameter.shape)))
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
