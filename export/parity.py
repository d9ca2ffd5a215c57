"""The result of a verification: how the outputs of each runtime compare with MXNet's, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from tabulate import tabulate

from zoo.runtime import mx

INT8_OTHERS = 0.001  # of the predictions of a file with 8-bit integers; one may always be another
_ARBITERS = {"ONNX Runtime", "ONNX reference"}  # if both agree, the file is right, whatever others compute from it


@dataclass(frozen=True)
class Parity:
    """The comparison of one runtime with MXNet, over the first ``items`` of the data."""

    runtime: str
    version: str
    items: int
    difference: float  # largest absolute difference; their root mean square, relative to the outputs', if int8
    limit: float  # largest difference allowed
    same: int | None = None  # items for which both predict the same class; None if no output is a row for each item
    ties: int = 0  # items for which they do not, but MXNet's own outputs for the two classes differ by rounding only
    accuracy: float | None = None  # None without labels
    refusal: str | None = None  # why the runtime cannot run the file; the figures are then 0
    shapes: str | None = None  # what is wrong with the shapes of its outputs; the difference is then infinite
    is_required: bool = False  # whether it must be able to run the file
    int8: bool = False  # whether the file computes with 8-bit integers

    @property
    def failure(self) -> str | None:
        """What differs too much, or that it cannot run the file but must; None if nothing is wrong."""
        if self.refusal is not None:
            return self.verdict if self.is_required else None
        if self.shapes is not None:
            return self.shapes
        if not self.difference <= self.limit:
            return f"differs by {self.difference:.1g}"
        other = 0 if self.same is None else self.items - self.same - self.ties
        allowed = max(1, int(INT8_OTHERS * self.items)) if self.int8 else 0
        return f"{other} other predictions" if other > allowed else None

    @property
    def verdict(self) -> str:
        """What is said of the runtime, in one phrase."""
        return f"cannot run it: {self.refusal}" if self.refusal is not None else self.failure or "agrees"


@dataclass(frozen=True)
class Verification:
    """MXNet's accuracy (None without labels), and its comparison with every installed runtime."""

    items: int
    accuracy: float | None
    parities: tuple[Parity, ...]
    missing: tuple[str, ...] = ()  # the runtimes that are not installed

    @property
    def failures(self) -> list[str]:
        """One phrase per failure; empty if the runtimes agree with MXNet, or if those agree that decide."""
        if not any(each.items for each in self.parities):
            return [*self._deviations, "no runtime could run the file"]
        return [] if self._is_decided else self._deviations

    @property
    def _deviations(self) -> list[str]:
        return [f"{each.runtime} {each.failure}" for each in self.parities if each.failure]

    @property
    def _is_decided(self) -> bool:
        return {each.runtime for each in self.parities if each.items and not each.failure} >= _ARBITERS

    def __str__(self) -> str:
        rows: list[tuple[str, int, str | None, str | None, str | None, str]] = [
            (f"MXNet {mx.__version__}", self.items, None, None, percent(self.accuracy), "reference")
        ]
        for each in self.parities:
            name = f"{each.runtime} {each.version}"
            if each.refusal is not None:
                rows.append((name, 0, None, None, None, each.verdict))
                continue
            same = None
            if each.same is not None:
                same = f"{each.same:,} of {each.items:,}" + (f", {each.ties} tied" if each.ties else "")
            rows.append((name, each.items, f"{each.difference:.1e}", same, percent(each.accuracy), each.verdict))
        difference = "rms difference" if any(each.int8 for each in self.parities) else "max difference"
        headers = ("runtime", "items", difference, "same prediction", "accuracy", "verdict")
        lines = [tabulate(rows, headers, intfmt=",", disable_numparse=[2, 3], missingval="")]
        if self._is_decided:
            lines += [
                f"{each}: an error of its own, since ONNX Runtime and ONNX's reference agree with MXNet"
                for each in self._deviations
            ]
        if self.missing:
            lines.append(f"not installed: {', '.join(self.missing)}")
        return "\n".join(lines)


def percent(share: float | None) -> str | None:
    """Return ``share`` as tables have it."""
    return None if share is None else f"{share:.2%}"
