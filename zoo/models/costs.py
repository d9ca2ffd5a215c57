"""``costs.json``: the layers of every model, computed from its graph once, so that models are listed without MXNet.

The file holds a SHA-256 of its own content and of the sources that it was computed from. Where that does not fit,
because one or the other was changed, layers are computed anew, which takes seconds. ``python -m zoo.publishing.costs``
writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

from zoo.errors import ZooError
from zoo.graph import cost
from zoo.graph.cost import Layer
from zoo.io import files, schema
from zoo.models.architectures import MODELS, Architecture

PACKAGE = Path(__file__).parents[1]  # zoo
FILE = "models/costs.json"
_COMPUTED_BY = ("graph/cost.py", "graph/ir.py", "graph/shapes.py")


def layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The operators of its network as :func:`zoo.graph.cost.layers` computes them; from the file if it has them."""
    known = _read_once(PACKAGE).get(architecture.name)
    if known is None:
        return cost.layers(architecture.build())
    return tuple(schema.build(Layer, each) for each in known)


def read(package: Path) -> Mapping[str, list[dict[str, object]]]:
    """What the file in ``package`` says by model: nothing if it is not what the sources beside it make of it."""
    path = package / FILE
    try:
        content = schema.parse(path.read_bytes(), str(path))
        if isinstance(content, dict) and content.get("sha256") == _digest(package, content.get("layers")):
            return content["layers"]
    except (OSError, ZooError):  # unreadable or no JSON
        pass
    return {}


_read_once = cache(read)


def encode(package: Path) -> bytes:
    """The file for the models that are registered, a line for each layer."""
    known = {name: list(map(asdict, cost.layers(MODELS[name].build()))) for name in MODELS.names()}
    blocks = []
    for name, rows in known.items():
        lines = ",\n".join(f" {json.dumps(row)}" for row in rows)
        blocks.append(f"{json.dumps(name)}: [\n{lines}\n]")
    text = ",\n".join(blocks)
    return f'{{"sha256": "{_digest(package, known)}", "layers": {{\n{text}\n}}}}\n'.encode()


def _digest(package: Path, known: object) -> str:
    sources = sorted([*(package / name for name in _COMPUTED_BY), *(package / "models/architectures").rglob("*.py")])
    parts = [part for path in sources for part in (path.relative_to(package).as_posix().encode(), path.read_bytes())]
    return files.hexdigest(b"\0".join([json.dumps(known).encode(), *parts]))
