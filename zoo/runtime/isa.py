"""The instructions that this project's kernels and MXNet's oneDNN use: all that the processor has, or fewer.

``ZOO_ISA`` restricts them to those of an older processor, to measure and to test what runs there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from zoo.errors import ZooError
from zoo.runtime import cpus

SWITCH = "ZOO_ISA"


@dataclass(frozen=True)
class Isa:
    """A set of instructions, which contains those before it."""

    name: str
    needs: frozenset[str]  # flags of the processor, as Linux names them
    beyond: tuple[str, ...]  # what the flags of those after it begin with
    flags: tuple[str, ...]  # of compilers
    onednn: str  # for oneDNN, in MXNet and in others
    pytorch: str  # for PyTorch's own kernels


_AVX512 = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
ALL = (
    Isa("sse4", frozenset({"sse4_2"}), ("avx", "amx", "fma", "f16c"), ("-march=nehalem",), "SSE41", "default"),
    Isa("avx2", frozenset({"avx2", "fma", "f16c", "bmi2"}), ("avx512", "amx"), ("-march=haswell",), "AVX2", "avx2"),
    Isa(
        "avx512",
        _AVX512,
        ("amx",),
        ("-march=haswell", *(f"-m{flag}" for flag in sorted(_AVX512))),
        "AVX512_CORE",
        "avx512",
    ),
    Isa("amx", frozenset({"amx_tile", "amx_bf16", "avx512_bf16"}), (), ("-march=native",), "AVX512_CORE_AMX", "avx512"),
)


def chosen() -> Isa | None:
    """Return what ``ZOO_ISA`` restricts this process to, None for no restriction.

    Raises :class:`ZooError` for an unknown name, and for instructions that this processor lacks.
    """
    name = os.environ.get(SWITCH, "").strip().lower()
    if not name:
        return None
    able = [each.name for each in ALL if each.needs <= cpus.flags()]
    found = next((each for each in ALL if each.name == name), None)
    if found is None:
        raise ZooError(f"{SWITCH} must be one of {', '.join(each.name for each in ALL)}, not {name!r}")
    if name not in able:
        raise ZooError(f"{SWITCH} is {name}, and this processor has only {', '.join(able) or 'older instructions'}")
    return found


def flags() -> frozenset[str]:
    """Return the processor's flags that may be used."""
    try:
        isa = chosen()
    except ZooError:  # said when MXNet is imported
        isa = None
    return cpus.flags() if isa is None else frozenset(f for f in cpus.flags() if not f.startswith(isa.beyond))


def compiler_flags() -> tuple[str, ...]:
    """Return the flags with which a compiler uses these instructions."""
    isa = chosen()
    return isa.flags if isa is not None else ("-march=native",)


def settings() -> dict[str, str]:
    """Return the environment variables that restrict other libraries likewise; ONNX Runtime has none."""
    isa = chosen()
    if isa is None:
        return {}
    return {"DNNL_MAX_CPU_ISA": isa.onednn, "ONEDNN_MAX_CPU_ISA": isa.onednn, "ATEN_CPU_CAPABILITY": isa.pytorch}
