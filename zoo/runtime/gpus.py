"""The GPUs of this machine, as NVIDIA's driver reports them before MXNet touches them."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

# Compute capabilities that the mxnet-cu112 1.9.1 wheel has machine code for. It has no PTX that a newer GPU could
# compile. Code for x.y runs on every x.z with z >= y, and on no other x.
WHEEL_CAPABILITIES = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
_OLDEST_CUDA = (11, 0)  # oldest version that a driver may support for CUDA 11.2 programs
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """A GPU as the driver describes it; ``index`` is its number among the GPUs visible to this process."""

    index: int
    name: str
    capability: tuple[int, int]

    @property
    def has_code(self) -> bool:
        """Whether the CUDA wheel holds machine code that this GPU can run."""
        major, minor = self.capability
        return any(major == m and minor >= n for m, n in WHEEL_CAPABILITIES)

    def __str__(self) -> str:
        return f"gpu({self.index}) {self.name}, compute capability {self.capability[0]}.{self.capability[1]}"

    @property
    def refusal(self) -> str:
        """One sentence on why this GPU cannot be used; meaningful only if :attr:`has_code` is False."""
        return (
            f"{self} cannot run mxnet-cu112, whose newest code is for 8.6 and 8.9 and which was not built for "
            "this generation: use the CPU, or a GPU of compute capability 5.0 to 8.9"
        )


def installed() -> tuple[Gpu, ...]:
    """All GPUs that the driver shows to this process; none without a driver."""
    cuda = _driver()
    count = ctypes.c_int()
    if cuda is None or cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_describe(cuda, index) for index in range(count.value))


def refusal() -> str | None:
    """One sentence on why MXNet's CUDA wheel cannot use this machine's GPUs; None if it can."""
    cuda = _driver()
    if cuda is None:
        return "NVIDIA's driver is not installed"
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    knows = (version.value // 1000, version.value % 1000 // 10)
    if knows < _OLDEST_CUDA:
        return f"NVIDIA's driver knows CUDA {knows[0]}.{knows[1]}, and mxnet-cu112 needs 450.80 or later: update it"
    found = installed()
    if not found:
        return f"NVIDIA's driver shows no GPU{_why_none(cuda)}"
    return _no_code(found)


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def _why_none(cuda: ctypes.CDLL) -> str:
    if _VISIBLE in os.environ:
        return f" with {_VISIBLE}={os.environ[_VISIBLE]}"
    code, text = cuda.cuInit(0), ctypes.c_char_p()
    if code != 0 and cuda.cuGetErrorString(code, ctypes.byref(text)) == 0 and text.value:
        return f": {text.value.decode(errors='replace')}"
    return ""


def _no_code(found: tuple[Gpu, ...]) -> str | None:
    """The refusal if any GPU has no machine code: MXNet hangs when it meets one, so it bars the others too."""
    refused = next((gpu for gpu in found if not gpu.has_code), None)
    usable = [gpu.index for gpu in found if gpu.has_code]
    if refused is None or not usable:
        return None if refused is None else refused.refusal
    names = os.environ.get(_VISIBLE, "").split(",")
    if len(names) < len(found):
        names = [str(gpu.index) for gpu in found]
    shown = ",".join(names[index].strip() for index in usable)
    return f"{refused} has no code in mxnet-cu112, and MXNet hangs if it sees it: {_VISIBLE}={shown} hides it"


def _describe(cuda: ctypes.CDLL, index: int) -> Gpu:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(128)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    cuda.cuDeviceGetName(name, len(name), device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Gpu(index, name.value.decode(errors="replace"), (capability[0], capability[1]))
