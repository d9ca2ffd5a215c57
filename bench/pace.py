"""How long the rest of a run will take, estimated from the pace so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Compares the time that steps took with their expected time, separately for each kind of step."""

    _took: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, kind: str, expected: float, seconds: float) -> None:
        """Record that a step expected to take ``expected`` seconds took ``seconds``."""
        self._took[kind].append((expected, seconds))

    def seconds(self, steps: Iterable[tuple[str, float]]) -> float:
        """Estimate the time for ``steps``, pairs of a kind and expected seconds, at the pace of the steps so far.

        A kind with no finished step takes the pace of all others; before the first step, the expected time counts.
        """
        return sum(expected * self._ratio(kind) for kind, expected in steps)

    @property
    def is_known(self) -> bool:
        """Whether any step has finished yet."""
        return bool(self._took)

    def _ratio(self, kind: str) -> float:
        done = self._took.get(kind) or [each for pairs in self._took.values() for each in pairs]
        expected = sum(each for each, _ in done)
        return sum(seconds for _, seconds in done) / expected if expected else 1.0


def duration(seconds: float) -> str:
    """Format a duration for people: ``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
