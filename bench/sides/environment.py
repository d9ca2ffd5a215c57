"""The environment variables that a side is started with."""

from __future__ import annotations

import os
from pathlib import Path

TUNING = ("OMP_", "GOMP_", "KMP_", "MXNET_", "DNNL_", "MKLDNN_", "ONEDNN_", "MKL_", "OPENBLAS_")


def untuned_environment() -> dict[str, str]:
    """This process's environment without anything that tunes the compared libraries, whoever set it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(TUNING)}


def inherited_environment() -> dict[str, str]:
    """This process's environment with the tuning that its user chose, but without what it set itself."""
    entries = os.fsdecode(Path("/proc/self/environ").read_bytes()).split("\0")  # as it was when Python started
    return {**untuned_environment(), **dict(each.split("=", 1) for each in entries if each.startswith(TUNING))}
