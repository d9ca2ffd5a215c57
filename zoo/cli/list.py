"""The command ``python -m zoo list``."""

from __future__ import annotations

import argparse
from pathlib import Path
from textwrap import shorten

from tabulate import tabulate

from zoo.cli.options import path
from zoo.errors import ZooError
from zoo.io import files, schema
from zoo.models.architectures import MODELS
from zoo.models.cards import Card, duration
from zoo.models.lookup import get_card, list_models

_NEVER = float("inf")  # sorts models without a figure last
_KEYS = {
    "name": lambda card: card.name,
    "accuracy": lambda card: card.pretrained.errors if card.pretrained else _NEVER,
    "parameters": lambda card: card.parameters,
    "flops": lambda card: card.flops,
    "time": lambda card: card.pretrained.seconds if card.pretrained else _NEVER,
}
_WIDTH = 128  # of the table at most, in characters
_COLUMNS = ("model", "parameters", "MFLOP", "accuracy", "errors", "trained in", "recipe")
_LEFT = ("model", "recipe", "what")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", default=["*"], help="shell pattern, such as 'cnn7*'")
    parser.add_argument("--exclude", nargs="+", metavar="PATTERN", default=[], help="leave out those that match")
    parser.add_argument("--pretrained", action="store_true", default=None, help="only those with pretrained weights")
    parser.add_argument(
        "--sort", choices=list(_KEYS), default="name",
        help="by name (default), highest accuracy, fewest parameters or FLOPs, shortest training time",
    )  # fmt: skip
    parser.add_argument(
        "--bench", metavar="FILE", type=path,
        help="output of python -m bench --json FILE; adds each model's highest inference throughput in images/s",
    )  # fmt: skip
    parser.add_argument("--layers", action="store_true", help="show each model layer by layer")


def run(arguments: argparse.Namespace) -> int:
    """Print a table of the matching models, or their layers."""
    for pattern in arguments.patterns:
        if not list_models(pattern):
            MODELS[pattern]  # raises UnknownName with suggestions
    names = list_models(arguments.patterns, arguments.pretrained, arguments.exclude)
    if not names:
        without = f", excluding {' '.join(arguments.exclude)}" if arguments.exclude else ""
        trained = ", with pretrained weights" if arguments.pretrained else ""
        raise ZooError(f"no model matches {' '.join(arguments.patterns)}{without}{trained}: python -m zoo list")
    cards = sorted(map(get_card, names), key=_KEYS[arguments.sort])
    speeds = _speeds(arguments.bench) if arguments.bench else None
    print("\n\n".join(map(_layers, cards)) if arguments.layers else _models(cards, speeds))
    return 0


def _models(cards: list[Card], speeds: dict[str, float] | None) -> str:
    columns = [*_COLUMNS, *([] if speeds is None else ["images/s"])]
    rows = [[card.name, f"{card.parameters:,}", _mflop(card.flops), *_trained(card)] for card in cards]
    if speeds is not None:
        rows = [[*row, f"{speeds[row[0]]:,.0f}" if row[0] in speeds else ""] for row in rows]
    room = _WIDTH - len(_table(rows, columns).splitlines()[1]) - 2
    return _table(
        [[*row, shorten(card.summary, room, placeholder=" …")] for row, card in zip(rows, cards)], [*columns, "what"]
    )


def _trained(card: Card) -> tuple[str, str, str, str]:
    known = card.pretrained
    if known is None:
        return ("",) * 4
    return f"{known.accuracy:.2%}", f"{known.errors:,}", duration(known.seconds), known.recipe or "by hand"


def _table(rows: list[list[str]], columns: list[str]) -> str:
    align = ["left" if column in _LEFT else "right" for column in columns]
    return tabulate(rows, columns, disable_numparse=True, colalign=align)


def _speeds(file: Path) -> dict[str, float]:
    """Inference throughput by model, in images/s: the median of the fastest combination measured."""
    import statistics

    document = schema.parse(files.read(file), str(file))
    speeds: dict[str, float] = {}
    try:
        if not isinstance(document, dict):
            raise TypeError
        for result in document["results"]:
            cell, measured = result["cell"], result["measurement"]
            if cell["phase"] == "infer" and measured is not None:
                speed = statistics.median(each["images"] / each["seconds"] for each in measured["rounds"])
                speeds[cell["model"]] = max(speed, speeds.get(cell["model"], 0.0))
    except (KeyError, TypeError, ZeroDivisionError, statistics.StatisticsError):
        raise ZooError(f"{file} is not what python -m bench --json writes") from None
    return speeds


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
