"""The decisions of passes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """Layers that a pass replaced by one operator, or a candidate that it left unchanged."""

    node: str  # the name of the operator that replaced them, or of the candidate
    layers: tuple[str, ...]  # by name, in execution order
    reason: str = ""  # why the candidate was left unchanged; empty if it was replaced

    @property
    def is_done(self) -> bool:
        """Whether layers were replaced."""
        return not self.reason
