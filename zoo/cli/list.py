"""``python -m zoo list``"""

from __future__ import annotations

import argparse

from tabulate import tabulate

from zoo.architectures import MODELS
from zoo.models import Card, get_card, list_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern, such as 'cnn7*'")
    parser.add_argument("--layers", action="store_true", help="show each model layer by layer")


def run(arguments: argparse.Namespace) -> int:
    names = list_models(arguments.pattern) or [MODELS[arguments.pattern].name]  # the latter says what there is
    cards = [get_card(name) for name in names]
    print("\n\n".join(map(_layers, cards)) if arguments.layers else _models(cards))
    return 0


def _models(cards: list[Card]) -> str:
    rows = [(card.name, f"{card.parameters:,}", _mflop(card.flops), card.kind, card.summary) for card in cards]
    return tabulate(
        rows, ("model", "parameters", "MFLOP/image", "built with", "what"), colalign=("left", "right", "right")
    )


def _layers(card: Card) -> str:
    rows = [
        (
            layer.name,
            layer.operator,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            _mflop(layer.flops),
        )
        for layer in card.layers
    ]
    rows.append(("total", "", "", f"{card.parameters:,}", _mflop(card.flops)))
    table = tabulate(
        rows,
        ("layer", "operator", "output", "parameters", "MFLOP"),
        disable_numparse=True,
        colalign=("left", "left", "left", "right", "right"),
    )
    return f"{card.name}: {card.summary}\nfrom: {card.source}\n\n{table}"


def _mflop(flops: int) -> str:
    return f"{flops / 1e6:.3f}"
