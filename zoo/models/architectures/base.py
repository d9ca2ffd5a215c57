"""The registry of models: its entries, and the decorator that adds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from zoo.recipes import Recipe
from zoo.registry import Registry

if TYPE_CHECKING:
    from zoo.runtime import mx


@dataclass(frozen=True)
class Architecture:
    """How to build a network, and where it comes from."""

    name: str
    kind: str  # "symbol" (built with mx.sym) or "gluon"
    build: Callable[[], mx.gluon.HybridBlock]  # a new network, not yet initialized
    initializer: mx.init.Initializer | str  # argument of mx.init.create
    recipe: Recipe  # from the source, if it gives one
    summary: str
    source: str


MODELS: Registry[Architecture] = Registry("model")
Builder = TypeVar("Builder", bound="Callable[[], mx.gluon.HybridBlock]")


def register(
    name: str, *, kind: str, initializer: mx.init.Initializer | str, recipe: Recipe, summary: str, source: str
) -> Callable[[Builder], Builder]:
    """Decorate a function that builds a network, to register it as the model ``name`` with these facts."""

    def decorate(build: Builder) -> Builder:
        MODELS.add(name, Architecture(name, kind, build, initializer, recipe, summary, source))
        return build

    return decorate


def xavier(**settings: str | float) -> str:
    """Return ``mx.init.Xavier(**settings)`` as text for ``mx.init.create``, so that registering needs no MXNet."""
    return json.dumps(["xavier", settings])
