"""Multilayer perceptrons, built with ``mx.sym`` as in their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.models.architectures.base import register, xavier
from zoo.recipes.named import RECIPES

if TYPE_CHECKING:
    from zoo.runtime import mx


def _perceptron(*hidden: int) -> mx.gluon.SymbolBlock:
    """Fully connected layers ``fc1``, ``fc2``, … with ReLU between them and 10 logits at the end.

    The sources end in ``SoftmaxOutput``. The block stops before it: with ``data`` as the only input, Gluon would
    treat ``softmax_label`` as a parameter and train on labels that nobody supplied.
    """
    from zoo.runtime import mx

    data = mx.sym.Variable("data", dtype="float32")
    x = mx.sym.Flatten(data, name="flatten")
    for number, units in enumerate(hidden, start=1):
        x = mx.sym.FullyConnected(x, name=f"fc{number}", num_hidden=units)
        x = mx.sym.Activation(x, name=f"relu{number}", act_type="relu")
    logits = mx.sym.FullyConnected(x, name=f"fc{len(hidden) + 1}", num_hidden=10)
    block = mx.gluon.SymbolBlock(logits, data)
    for name, parameter in block.collect_params().items():
        if name.endswith("_bias"):
            parameter.init = "zeros"  # a SymbolBlock applies Xavier to all parameters, and Xavier refuses vectors
    return block


@register(
    "mlp",
    kind="symbol",
    initializer=xavier(magnitude=2.0),
    recipe=RECIPES["notebook"],
    summary="784-128-10 with ReLU",
    source="MNIST notebook with mx.sym, RecordIO and Module (learning rates 0.1, 0.01, 0.001 on 0-255 pixels)",
)
def mlp() -> mx.gluon.SymbolBlock:
    """One hidden layer of 128 units."""
    return _perceptron(128)


@register(
    "mlp_128_64",
    kind="symbol",
    initializer=xavier(),
    recipe=RECIPES["notebook"],
    summary="784-128-64-10 with ReLU",
    source="Apache MXNet, Handwritten Digit Recognition tutorial",
)
def mlp_128_64() -> mx.gluon.SymbolBlock:
    """Two hidden layers, of 128 and 64 units."""
    return _perceptron(128, 64)
