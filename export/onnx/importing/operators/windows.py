"""Windows that slide over data, in convolutions and in pooling."""

from __future__ import annotations

from dataclasses import dataclass

from export.onnx.importing.graph import Call, Refusal, Tensor


@dataclass(frozen=True)
class Windows:
    """What ONNX says of windows, one value for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]  # padding
    end: tuple[int, ...]

    @property
    def is_symmetric(self) -> bool:
        """Whether the padding is the same at both ends, as MXNet has it."""
        return self.begin == self.end

    @property
    def settings(self) -> dict[str, tuple[int, ...]]:
        """The attributes that convolutions and pooling share in MXNet."""
        return {"kernel": self.kernel, "stride": self.stride, "pad": self.begin}


def read(call: Call, data: Tensor, kernel: tuple[int, ...]) -> Windows:
    """Read strides, dilations and padding of windows of the size ``kernel`` over ``data``."""
    rank = len(kernel)
    if not 1 <= rank <= 3 or data.rank != rank + 2:
        raise Refusal(f"windows of {rank} dimensions over data of {data.rank} are not translated")
    ones, sizes = (1,) * rank, [data.size(axis) for axis in range(2, data.rank)]
    stride, dilation = call.integers("strides", ones), call.integers("dilations", ones)
    automatic = call.only("auto_pad", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pads = call.integers("pads", (0,) * 2 * rank)
    if [len(stride), len(dilation), len(pads)] != [rank, rank, 2 * rank] or min(pads) < 0 or min(stride) < 1:
        raise Refusal(f"there is no translation of strides={stride}, dilations={dilation}, pads={pads}")
    begin, end = pads[:rank], pads[rank:]
    if automatic.startswith("SAME"):
        steps = zip(sizes, kernel, stride, dilation)
        whole = [(-(-size // step) - 1) * step + (extent - 1) * gap + 1 - size for size, extent, step, gap in steps]
        if min(whole) < 0:
            raise Refusal(f"auto_pad={automatic} would cut the data, where programs differ")
        small, large = tuple(each // 2 for each in whole), tuple(each - each // 2 for each in whole)
        begin, end = (small, large) if automatic == "SAME_UPPER" else (large, small)
    elif automatic == "VALID":
        begin = end = (0,) * rank
    return Windows(kernel, stride, dilation, begin, end)


def padded(call: Call, data: Tensor, windows: Windows, filler: float = 0.0) -> tuple[Tensor, Windows]:
    """Return data that are padded with ``filler`` where MXNet cannot, and windows with the same padding at both ends.

    They are padded before if that at both ends differs.
    """
    if windows.is_symmetric:
        return data, windows
    none = (0,) * len(windows.kernel)
    pairs = (each for pair in zip(windows.begin, windows.end) for each in pair)
    data = call.add("Pad", data, mode="constant", pad_width=(0, 0, 0, 0, *pairs), constant_value=filler)
    return data, Windows(windows.kernel, windows.stride, windows.dilation, none, none)
