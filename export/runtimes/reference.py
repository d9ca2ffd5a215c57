"""ONNX's own reference, in NumPy."""

from __future__ import annotations

from pathlib import Path

from export.runtimes.runtime import Forward, data_of


def open_file(path: Path) -> Forward:
    """Open ``path``."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    names = [each.name for each in data_of(evaluator.proto_.graph)]
    return lambda *arrays: evaluator.run(None, dict(zip(names, arrays)))
