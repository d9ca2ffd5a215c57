"""How long the rest of a run will take, by the pace of what is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Compares the time that steps took with the time that was expected of them, each kind of step by itself."""

    _took: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, kind: str, expected: float, seconds: float) -> None:
        """A step that was expected to take ``expected`` seconds took ``seconds``."""
        self._took[kind].append((expected, seconds))

    def seconds(self, steps: Iterable[tuple[str, float]]) -> float:
        """That ``steps``, kinds and what is expected of them, will take: as much longer as those before them did.

        Where none of a kind is done, all others set its pace; before the first, what is expected counts.
        """
        return sum(expected * self._ratio(kind) for kind, expected in steps)

    @property
    def is_known(self) -> bool:
        """Whether anything is done yet."""
        return bool(self._took)

    def _ratio(self, kind: str) -> float:
        done = self._took.get(kind) or [each for pairs in self._took.values() for each in pairs]
        expected = sum(each for each, _ in done)
        return sum(seconds for _, seconds in done) / expected if expected else 1.0


def duration(seconds: float) -> str:
    """As people say it: ``40 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
