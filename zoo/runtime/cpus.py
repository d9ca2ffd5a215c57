"""How many CPUs this process may really use: its affinity mask and its cgroup's quota, not the machine's size."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable(root: Path = Path("/")) -> int:
    """The number of CPUs in the affinity mask, fewer if a cgroup (v1 or v2) under ``root`` allows less; at least 1."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        count = os.cpu_count() or 1
    quotas = [quota for folder in _cgroup_folders(root) if (quota := _quota(folder)) is not None]
    return max(1, min([count, *map(math.ceil, quotas)]))


def model_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's marketing name, or "unknown"."""
    return _cpuinfo_field("model name", cpuinfo) or "unknown"


def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's feature flags as the Linux kernel names them; empty if unknown."""
    return frozenset((_cpuinfo_field("flags", cpuinfo) or "").split())


def _cpuinfo_field(field: str, cpuinfo: Path) -> str | None:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), None)


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """This process's cgroup and its ancestors, for v2 and for v1's cpu controller: each may set a quota."""
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers == "":
            mount = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            mount = root / "sys/fs/cgroup/cpu"
        else:
            continue
        inner = mount / path.lstrip("/")
        yield inner
        yield from (folder for folder in inner.parents if folder.is_relative_to(mount))


def _quota(folder: Path) -> float | None:
    """The quota of this cgroup, in CPUs; None if it sets no limit."""
    try:
        if (folder / "cpu.max").exists():  # v2: "max 100000" or "150000 100000"
            quota, period = (folder / "cpu.max").read_text().split()
        else:  # v1: -1 means no limit
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError):
        return None
