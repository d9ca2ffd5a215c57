"""The GPUs of this machine, asked of NVIDIA's driver before MXNet touches them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

# Machine code in the mxnet-cu112 1.9.1 wheel, which carries no PTX that a newer GPU could compile:
# code for x.y runs on every x.z with z >= y, and on no other x.
WHEEL_CAPABILITIES = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
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
        """Why this GPU cannot be used, one sentence; meaningful where :attr:`has_code` is False."""
        return (
            f"{self} cannot run mxnet-cu112, whose newest code is for 8.6 and 8.9 and which was not built for "
            "this generation: use the CPU, or a GPU of compute capability 5.0 to 8.9"
        )


def installed() -> tuple[Gpu, ...]:
    """All GPUs that the driver shows to this process; none without a driver."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int()
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_describe(cuda, index) for index in range(count.value))


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
