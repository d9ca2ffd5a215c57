"""The settings of an MXNet operator, none of which may go unread."""

from __future__ import annotations

from typing import TypeVar, overload

from zoo.errors import ZooError
from zoo.graph import attributes
from zoo.graph.ir import Node

# Settings of memory, libraries and training, which do not change results at inference.
_WITHOUT_EFFECT = {"cudnn_algo_verbose", "cudnn_off", "cudnn_tune", "workspace"}

Value = TypeVar("Value")


class Settings:
    """An operator's settings; MXNet keeps them as text and omits defaults, so each getter names the default."""

    def __init__(self, node: Node, form: str = "ONNX") -> None:
        self._node, self._form = node, form
        hidden = {key for key in node.attributes if key.startswith("__")}  # annotations, such as learning rates
        self._unread = set(node.attributes) - hidden - _WITHOUT_EFFECT

    def get(self, key: str, default: object = None) -> object:
        """Return the value as :func:`zoo.graph.attributes.value` reads it."""
        self._unread.discard(key)
        return self._node.get(key, default)

    def integer(self, key: str, default: int) -> int:
        """Return an integer; anything else is refused, as by the getters below."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._unknown(key)
        return value

    def number(self, key: str, default: float) -> float:
        """Return an integer or a float as a float."""
        value = self.get(key, default)
        if not isinstance(value, (int, float)):
            raise self._unknown(key)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return a Boolean."""
        value = self.get(key, default)
        if value not in (True, False):
            raise self._unknown(key)
        return bool(value)

    @overload
    def integers(self, key: str) -> tuple[int, ...] | None: ...
    @overload
    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]: ...
    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        """Return a tuple, or ``default`` if it is empty or None; a single number counts as a tuple of one."""
        value = self.get(key)
        if value in (None, ()):
            return default
        values = attributes.integers(value)
        if values is None:
            raise self._unknown(key)
        return values

    def only(self, key: str, *possible: Value) -> Value:
        """Return one of the ``possible`` values, the first of which is the default; any other is refused."""
        value = self.get(key, possible[0])
        if value not in possible:
            raise self._unknown(key)
        return possible[possible.index(value)]

    def ignore(self, *keys: str) -> None:
        """Mark settings as read that do not change what is computed at inference."""
        self._unread.difference_update(keys)

    def finish(self) -> None:
        """Refuse the operator if one of its settings was not read."""
        for key in sorted(self._unread):
            raise self._unknown(key)

    def refusal(self, reason: str) -> ZooError:
        """Return the error to raise: the operator cannot be written in this form, for this reason."""
        return ZooError(f"the {self._node.operator} {self._node.name!r} cannot be written as {self._form}: {reason}")

    def _unknown(self, key: str) -> ZooError:
        return self.refusal(f"there is no translation of {key}={self._node.attributes.get(key)}")
