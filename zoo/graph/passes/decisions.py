"""What a pass decided."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """A pass replaced layers by one operator, or left a candidate as it was."""

    node: str  # the name of the operator that replaced them, or of the candidate
    layers: tuple[str, ...]  # by name, in the order in which they were computed
    reason: str = ""  # why the candidate was left as it was; empty where it was replaced

    @property
    def is_done(self) -> bool:
        """Whether layers were replaced."""
        return not self.reason
