"""Where a result comes from: the machine, its software, and the revision of this source tree."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from zoo.runtime import STATUS, cpus, gpus, mx


def now() -> str:
    """The date and time, UTC, in ISO 8601 to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def machine(ctx: Sequence[mx.Context]) -> str:
    """The hardware behind the contexts ``ctx``: the GPUs among them, or else the processor."""
    used = {context.device_id for context in ctx if context.device_type == "gpu"}
    names = [gpu.name for gpu in gpus.installed() if gpu.index in used] if used else []
    return ", ".join(names) or f"{cpus.model_name()}, {STATUS.threads} threads"


def software() -> str:
    """The versions that a result depends on."""
    mxnet = STATUS.distribution or f"mxnet {mx.__version__}"
    return f"{mxnet}, Python {platform.python_version()}, NumPy {metadata.version('numpy')}"


def revision() -> str | None:
    """The git revision of this source tree, with "+" where it has uncommitted changes; None outside a checkout."""
    file = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    try:
        git("ls-files", "--error-unmatch", file.name)  # fails in an installed copy inside another checkout
        return git("rev-parse", "--short=12", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "-uno").strip() else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
