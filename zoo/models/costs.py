"""``costs.json``: the layers of every model, computed once from its graph, so that listing models needs no MXNet.

The file holds a SHA-256 of its own content and of the sources that it was computed from. If either has changed, the
layers are computed anew, which takes seconds. ``python -m zoo.publishing.costs`` writes the file.
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
    """Return the operators of the network, as :func:`zoo.graph.cost.layers` does, from the file if it has them."""
    known = _read_once(PACKAGE).get(architecture.name)
    if known is None:
        return cost.layers(architecture.build())
    return tuple(schema.build(Layer, each) for each in known)


def read(package: Path) -> Mapping[str, list[dict[str, object]]]:
    """Read the layers by model from the file in ``package``; empty if it is damaged or does not match its sources."""
    path = package / FILE
    try:
        content = schema.parse(path.read_bytes(), str(path))
        if isinstance(content, dict) and content.get("sha256") == _digest(package, content.get("layers")):
            return content["layers"]
    except (OSError, ZooError):  # unreadable or not JSON
        pass
    return {}


_read_once = cache(read)


def encode(package: Path) -> bytes:
    """Encode the file for all registered models, one line per layer."""
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
