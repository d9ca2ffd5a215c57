"""ONNX Runtime Web, as browsers run it: WebAssembly, here in Node.js.

The package is looked for where npm puts it, in ``node_modules`` of the current directory, and in the folders of
``NODE_PATH``, as Node.js itself does.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from export.runtimes.runtime import Forward
from zoo.errors import ZooError
from zoo.io import files
from zoo.io.parent import die_with_parent

_PACKAGE = "onnxruntime-web"


def version() -> str | None:
    """Return the version of the package; None if it or Node.js is not installed."""
    package = _package()
    if package is None or shutil.which("node") is None:
        return None
    try:
        return str(json.loads(files.read(package / "package.json"))["version"])
    except (ZooError, ValueError, KeyError, TypeError):
        return "unknown"


def open_file(path: Path) -> Forward:
    """Start Node.js with ``path``, and the files beside it, in which it may keep weights."""
    beside = [str(each) for each in path.parent.iterdir() if each != path]
    process = subprocess.Popen(
        ["node", str(Path(__file__).with_suffix(".mjs")), str(_package()), str(path), *beside],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=partial(die_with_parent, os.getpid()),
    )  # fmt: skip
    assert process.stdin and process.stdout
    to, back = process.stdin, process.stdout
    _described(back)  # that it has opened the file

    def forward(*arrays: np.ndarray) -> Sequence[np.ndarray]:
        description = [{"type": each.dtype.name, "dims": each.shape, "size": each.nbytes} for each in arrays]
        text = json.dumps(description).encode()
        to.write(b"".join([struct.pack("<I", len(text)), text, *map(np.ndarray.tobytes, arrays)]))
        to.flush()
        return [np.frombuffer(back.read(each["size"]), each["type"]).reshape(each["dims"]) for each in _described(back)]

    return forward


def _described(back: IO[bytes]) -> list[dict[str, Any]]:
    """Return how the next answer describes its arrays; raises :class:`RuntimeError` if it is an error, or missing."""
    length = back.read(4)
    if len(length) < 4:
        raise RuntimeError("Node.js ended")
    description = json.loads(back.read(*struct.unpack("<I", length)))
    if isinstance(description, dict):
        raise RuntimeError(description["error"])
    return description


def _package() -> Path | None:
    places = [Path("node_modules"), *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    found = (place.absolute() / _PACKAGE for place in places)
    return next((each for each in found if (each / "package.json").is_file()), None)
