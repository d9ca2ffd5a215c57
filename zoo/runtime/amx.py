"""Permission to use AMX, Intel's matrix unit, which makes bfloat16 several times as fast as float32.

Linux 5.16 and later let a process use the AMX registers only after it has requested them. MXNet 1.9.1 does not request
them, and its oneDNN does not use AMX unless told to. Both must be done before MXNet is loaded. ``ZOO_AMX=0`` disables
AMX.
"""

from __future__ import annotations

import ctypes
import os
import platform
import warnings
from types import ModuleType

from zoo.runtime import cpus, isa

SWITCH = "ZOO_AMX"
_ISA, _WITH_AMX, _WITHOUT_AMX = "DNNL_MAX_CPU_ISA", "AVX512_CORE_AMX", "AVX512_CORE_BF16"
_NEEDED = frozenset({"amx_tile", "amx_bf16", "avx512_bf16"})
# arch/x86/include/uapi/asm/prctl.h
_SYSCALL_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


def request(too_late: bool) -> tuple[bool, str]:
    """Request AMX; returns whether this process may use it, and why or why not.

    Without permission, oneDNN is kept from using AMX, which would kill the process. ``too_late`` means that MXNet's
    library is already loaded.
    """
    granted, reason = _request(too_late)
    asked = os.environ.get(_ISA, "").strip().upper()
    if granted and not asked:
        os.environ[_ISA] = _WITH_AMX
    elif not granted and ("AMX" in asked or asked == "ALL"):
        os.environ[_ISA] = _WITHOUT_AMX
    return granted, reason


def settle(mx: ModuleType) -> None:
    """Remove the setting from the environment after oneDNN has read it, which it does in its first operator.

    Programs that this process starts may not use AMX unless they request it themselves.
    """
    if os.environ.get(_ISA) == _WITH_AMX:
        mx.nd.FullyConnected(mx.nd.ones((1, 1)), mx.nd.ones((1, 1)), num_hidden=1, no_bias=True).wait_to_read()
        del os.environ[_ISA]


def _request(too_late: bool) -> tuple[bool, str]:
    if os.environ.get(SWITCH, "").strip() == "0":
        return False, f"off: {SWITCH}=0"
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False, "not on this platform"
    if not cpus.flags() >= _NEEDED:
        return False, "this processor has none"
    if not isa.flags() >= _NEEDED:
        return False, f"off: {isa.SWITCH}={os.environ[isa.SWITCH]}"
    if too_late:
        warnings.warn(
            "mxnet was imported before zoo, so its bfloat16 operators cannot use this processor's AMX unit; "
            "import zoo first",
            RuntimeWarning,
            stacklevel=5,
        )
        return False, "mxnet was imported before zoo"
    if not _permitted():
        return False, "the kernel does not grant it (Linux 5.16 or later does)"
    return True, "granted by the kernel"


def _permitted() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(*map(ctypes.c_long, (_SYSCALL_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA))) == 0
