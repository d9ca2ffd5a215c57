"""Everything outside the code that can change a figure."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import psutil

from bench import settings
from zoo import kernels
from zoo.io import places
from zoo.runtime import STATUS, cpus, gpus, isa, mx, provenance


def capture() -> dict[str, Any]:
    """Return machine, software and settings as JSON values; compiles the kernels if that has not been done yet."""
    found = kernels.available()
    reason = found.reason and places.told(found.reason)
    return {
        "date": provenance.now(),
        "processor": cpus.model_name(),
        "cpus_usable": cpus.usable(),
        "cpus_total": os.cpu_count(),
        "cpu_flags": sorted(flag for flag in isa.flags() if flag.startswith(("avx", "amx", "fma", "asimd", "sve"))),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": os.getloadavg()[0],  # other work on the machine when the run began
        "gpus": [str(gpu) for gpu in gpus.installed()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "mxnet": STATUS.distribution or mx.__version__,
        "mxnet_features": sorted(name for name, feature in mx.runtime.Features().items() if feature.enabled),
        "numpy": metadata.version("numpy"),
        "threads": STATUS.threads,
        "threads_from": STATUS.threads_from,
        "amx": STATUS.amx,
        "amx_reason": STATUS.amx_reason and places.told(STATUS.amx_reason),
        "kernels": {"usable": found.usable, "convolution": found.convolution, "reason": reason},
        "settings": settings.told(os.environ),
        "revision": provenance.revision(),
    }


def summary(environment: dict[str, Any], data: str) -> str:
    """Return the part of ``environment`` that every reader of a figure should see, in two lines."""
    gpus_too = f", {', '.join(environment['gpus'])}" if environment["gpus"] else ""
    revision = f", revision {environment['revision']}" if environment["revision"] else ""
    return (
        f"{environment['processor']}, {environment['threads']} threads on {environment['cpus_usable']} CPUs{gpus_too}; "
        f"{environment['mxnet']}, Python {environment['python']}, NumPy {environment['numpy']}\n"
        f"data: {data}; {environment['date']}{revision}"
    )
