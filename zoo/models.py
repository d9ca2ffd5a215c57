"""Networks and their cards by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from zoo import contexts, graph
from zoo.architectures import MODELS
from zoo.errors import UnknownName
from zoo.recipes import Recipe
from zoo.runtime import mx


@dataclass(frozen=True)
class Card:
    """What is known of a model: computed from its graph, or stated with its source."""

    name: str
    kind: str  # "symbol" or "gluon"
    summary: str
    source: str
    recipe: Recipe
    parameters: int  # trainable
    flops: int  # forward, per image, two per multiply-accumulate of convolutions and dense layers
    training_flops: int  # forward and backward: three times that, but for the input's gradient, which nobody needs
    layers: tuple[graph.Layer, ...]
    dataset: str = "MNIST"
    licence: str = "Apache-2.0"
    metrics: tuple[tuple[str, float], ...] = ()  # of the pretrained weights
    sha256: str | None = None  # of the pretrained weights, None where there are none


def list_models(pattern: str = "*", pretrained: bool | None = None) -> list[str]:
    """Sorted names that match a shell pattern; ``pretrained`` keeps those with weights, or those without."""
    names = MODELS.names(pattern)
    return (
        names if pretrained is None else [name for name in names if (get_card(name).sha256 is not None) == pretrained]
    )


def get_model(
    name: str,
    pretrained: bool = False,
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
    seed: int | None = None,
) -> mx.gluon.HybridBlock:
    """A new, initialized network that maps ``(batch, 1, 28, 28)`` float32 in [0, 1] to ``(batch, 10)`` logits.

    ``ctx`` is one context or several, None for the CPU. The initial weights come from MXNet's random
    state, which ``seed`` sets first if given. Raises :class:`zoo.errors.UnknownName` for a model that
    does not exist, pretrained weights that do not exist, and a context that does not work here.
    """
    architecture = MODELS[name]
    if pretrained:
        available = list_models(pretrained=True)
        raise UnknownName(
            f"there are no pretrained weights for {name}: models with weights are {', '.join(available) or 'none yet'}"
        )
    placed = contexts.check(ctx)
    if seed is not None:
        mx.random.seed(seed)
    net = architecture.build()
    net.initialize(architecture.initializer, ctx=placed)
    net(mx.nd.zeros((1, *graph.INPUT_SHAPE), ctx=placed[0]))  # Gluon draws weights once it has seen the shapes
    return net


def get_symbol(name: str) -> mx.sym.Symbol:
    """The model ``name`` for ``mx.mod.Module``: from ``data`` to probabilities, by ``SoftmaxOutput`` with its label.

    Checkpoints that Module saves of it load through :func:`zoo.load_parameters`, and those of the Gluon network
    through ``mx.mod.Module.load``: parameters have the same names in both. Raises :class:`zoo.errors.UnknownName`.
    """
    return mx.sym.SoftmaxOutput(MODELS[name].build()(mx.sym.var("data")), name="softmax")


@cache
def get_card(name: str) -> Card:
    """The card of the model ``name``; :class:`zoo.errors.UnknownName` lists close matches."""
    architecture = MODELS[name]
    layers = graph.layers(architecture.build())
    flops = sum(layer.flops for layer in layers)
    return Card(
        name=name,
        kind=architecture.kind,
        summary=architecture.summary,
        source=architecture.source,
        recipe=architecture.recipe,
        parameters=sum(layer.parameters for layer in layers),
        flops=flops,
        training_flops=3 * flops - next(layer.flops for layer in layers if layer.flops),
        layers=layers,
    )
