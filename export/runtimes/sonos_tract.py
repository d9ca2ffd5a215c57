"""Sonos' tract."""

from __future__ import annotations

from pathlib import Path

from export.runtimes.runtime import Forward


def open_file(path: Path) -> Forward:
    """Open ``path``."""
    import tract

    runnable = tract.onnx().load(path).into_model().into_runnable()
    return lambda *arrays: [each.to_numpy() for each in runnable.run(list(arrays))]
