"""Options shared by several commands, and the functions that resolve them.

Slow imports, MXNet above all, are inside the functions that need them, so that ``--help`` and usage errors are fast.
The commands follow the same rule.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError
from zoo.models.architectures import MODELS
from zoo.models.pretrained import manifest
from zoo.recipes.augmentation import Augmentation
from zoo.registry import suggestion

if TYPE_CHECKING:
    from zoo.runtime import mx


def path(text: str) -> Path:
    """Argument type: a path, but not the empty string that an unset shell variable leaves."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def model(text: str) -> str:
    """Argument type: the name of a model; raises :class:`UnknownName`, which lists close matches."""
    return MODELS[text].name


def augmentation(text: str) -> Augmentation:
    """Argument type: ``shift=2,rotation=15``, or ``none``."""
    known = [field.name for field in fields(Augmentation)]
    settings: dict[str, Any] = {}  # strings, which Augmentation converts to numbers or rejects
    for each in text.split(",") if text != "none" else ():
        name, _, value = each.partition("=")
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no augmentation {name!r}: {suggestion(name, known)}")
        settings[name] = value
    try:
        return Augmentation(**settings)
    except ZooError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_data(parser: argparse._ActionsContainer) -> None:
    """Add ``--data``, for :func:`zoo.data.named.load_data`."""
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=lambda text: str(path(text)),
        help="folder with the four IDX files, or 'synthetic' (default: MNIST_DIR, or the cache)",
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, which may also name a ``.rec`` file, and ``--pixels``, for :func:`zoo.data.named.load_images`."""
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=lambda text: str(path(text)),
        help="folder with the four IDX files, rec:FILE.rec, one part of it (rec:FILE.rec,num_parts=4,part_index=0), "
        "or 'synthetic' (default: MNIST_DIR, or the cache)",
    )
    parser.add_argument(
        "--pixels", choices=("scaled", "raw"), default="scaled",
        help="pixel range that the network sees: scaled to 0 to 1 (default), or raw 0 to 255",
    )  # fmt: skip


def add_model(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the model's name and ``--ctx``, for :func:`load_network`."""
    parser.add_argument("model", type=model, nargs=None if required else "?", help="a name from python -m zoo list")
    parser.add_argument("--ctx", help="cpu, gpu(0), or several: 'gpu(0),gpu(1)' (default: cpu)")


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add ``--params``, for :func:`load_network`."""
    parser.add_argument(
        "--params", metavar="FILE", type=path, help="its weights, as train --out writes them (default: pretrained ones)"
    )


def load_network(name: str, params: Path | None, ctx: str | None = None) -> tuple[mx.gluon.HybridBlock, str]:
    """The model ``name`` with the weights in ``params`` (None: pretrained), and a description of these weights."""
    from zoo import models
    from zoo.models import weights

    net = models.get_model(name, pretrained=params is None, ctx=ctx)
    if params is None:
        return net, f"pretrained weights (SHA-256 {manifest.entry(name).sha256})"
    return net, f"{params} (SHA-256 {weights.load_parameters(net, params)})"
