"""Everything outside the code that can change a figure."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from zoo import kernels
from zoo.runtime import STATUS, cpus, gpus, mx

_SETTINGS = (
    "OMP_", "KMP_", "GOMP_", "MXNET_", "DNNL_", "MKLDNN_", "ONEDNN_", "OPENBLAS_", "CUDA_", "NVIDIA_", "ZOO_",
)  # fmt: skip


def capture() -> dict:
    """The machine, the software and the settings, as JSON values; compiles the kernels if that is still to be done."""
    found = kernels.available()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": cpus.model_name(),
        "cpus_usable": cpus.usable(),
        "cpus_total": os.cpu_count(),
        "cpu_flags": sorted(flag for flag in cpus.flags() if flag.startswith(("avx", "amx", "fma", "asimd", "sve"))),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": os.getloadavg()[0],  # other work on the machine, when the run began
        "gpus": [str(gpu) for gpu in gpus.installed()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "mxnet": STATUS.distribution or mx.__version__,
        "mxnet_features": sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled),
        "numpy": metadata.version("numpy"),
        "threads": STATUS.threads,
        "threads_from": STATUS.threads_from,
        "amx": STATUS.amx,
        "amx_reason": STATUS.amx_reason,
        "kernels": {"usable": found.usable, "convolution": found.convolution, "reason": found.reason},
        "settings": {name: value for name, value in sorted(os.environ.items()) if name.startswith(_SETTINGS)},
        "revision": _revision(),
    }


def summary(environment: dict, data: str) -> str:
    """The part of it that every reader of a figure should see, in two lines."""
    gpus_too = f", {', '.join(environment['gpus'])}" if environment["gpus"] else ""
    revision = f", revision {environment['revision']}" if environment["revision"] else ""
    return (
        f"{environment['processor']}, {environment['threads']} threads on {environment['cpus_usable']} CPUs{gpus_too}; "
        f"{environment['mxnet']}, Python {environment['python']}, NumPy {environment['numpy']}\n"
        f"data: {data}; {environment['date']}{revision}"
    )


def _revision() -> str | None:
    """The git revision of this source tree, with "+" where it has uncommitted changes; None outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        git("ls-files", "--error-unmatch", "cells.py")  # not a checkout of something around an installed copy
        return git("rev-parse", "--short=12", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "-uno").strip() else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
