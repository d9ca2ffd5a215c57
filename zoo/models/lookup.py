"""Networks and their cards by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from zoo.graph import cost
from zoo.models import costs
from zoo.models.architectures import MODELS
from zoo.models.cards import Card
from zoo.models.pretrained import manifest

if TYPE_CHECKING:
    from zoo.runtime import mx


def list_models(
    pattern: str | Sequence[str] = "*", pretrained: bool | None = None, exclude_filters: str | Sequence[str] = ()
) -> list[str]:
    """Sorted names that match a shell pattern, or one of several, and none of ``exclude_filters``.

    ``pretrained`` keeps only models with weights (True) or without (False); None keeps both.
    """
    names = set(_matching(pattern)) - set(_matching(exclude_filters))
    return sorted(name for name in names if pretrained in (None, name in manifest.entries()))


def _matching(patterns: str | Sequence[str]) -> list[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return [name for pattern in patterns for name in MODELS.names(pattern)]


def get_model(
    name: str,
    pretrained: bool = False,
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
    seed: int | None = None,
) -> mx.gluon.HybridBlock:
    """Build a network that maps ``(batch, 1, 28, 28)`` float32 in [0, 1] to ``(batch, 10)`` logits.

    ``ctx`` is one context or several, None for the CPU. ``pretrained`` loads the weights that come with the package;
    otherwise weights are drawn from MXNet's random state, which ``seed`` sets first if given. Raises
    :class:`zoo.errors.UnknownName` if the model or its pretrained weights do not exist or a context does not work
    here, and :class:`zoo.errors.WeightsError` if the pretrained weights were changed.
    """
    architecture = MODELS[name]
    if pretrained:
        known = manifest.entry(name)  # fails before anything is built
    from zoo.models import weights
    from zoo.runtime import contexts, mx

    placed = contexts.check(ctx)
    if seed is not None:
        mx.random.seed(seed)
    net = architecture.build()
    net.initialize(mx.init.create(architecture.initializer), ctx=placed)
    net(mx.nd.zeros((1, *cost.INPUT_SHAPE), ctx=placed[0]))  # Gluon draws weights once it knows the shapes
    if pretrained:
        weights.load_parameters(net, manifest.params(manifest.FOLDER, name), known.sha256)
    return net


def get_symbol(name: str) -> mx.sym.Symbol:
    """Return the model ``name`` for ``mx.mod.Module``: from ``data`` to probabilities, through ``SoftmaxOutput``.

    ``SoftmaxOutput`` also takes the labels. Checkpoints saved by Module load through :func:`zoo.load_parameters`, and
    those of the Gluon network through ``mx.mod.Module.load``, because parameters have the same names in both. Raises
    :class:`zoo.errors.UnknownName`.
    """
    architecture = MODELS[name]
    from zoo.runtime import mx

    return mx.sym.SoftmaxOutput(architecture.build()(mx.sym.var("data")), name="softmax")


@cache
def get_card(name: str) -> Card:
    """Return the card of the model ``name``; :class:`zoo.errors.UnknownName` lists close matches."""
    architecture = MODELS[name]
    layers = costs.layers(architecture)
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
        pretrained=manifest.entries().get(name),
    )
