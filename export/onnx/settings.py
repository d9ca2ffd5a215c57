"""The settings of one of MXNet's operators, of which none may go unread."""

from __future__ import annotations

import ast
import re
from typing import TypeVar, overload

from zoo.errors import ZooError
from zoo.graph.ir import Node

# Of memory, libraries and training: results at inference are the same with any of them.
_WITHOUT_EFFECT = {"cudnn_algo_verbose", "cudnn_off", "cudnn_tune", "workspace"}
_NOTHING = (None, (), "None")

Value = TypeVar("Value")


class Settings:
    """MXNet keeps all of them as text and leaves out defaults; each getter names the default of the operator."""

    def __init__(self, node: Node) -> None:
        self._node = node
        hidden = {key for key in node.attributes if key.startswith("__")}  # annotations, such as learning rates
        self._unread = set(node.attributes) - hidden - _WITHOUT_EFFECT

    def get(self, key: str, default: object = None) -> object:
        """The value as Python reads it, or text where it is a word."""
        self._unread.discard(key)
        text = self._node.attributes.get(key)
        if text is None:
            return default
        try:
            return ast.literal_eval(re.sub(r"(?<=\d)L\b", "", text))  # a long integer of Python 2
        except (ValueError, SyntaxError):
            return text

    def integer(self, key: str, default: int) -> int:
        """A whole number; anything else is refused, as it is by the getters below."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._unknown(key)
        return value

    def number(self, key: str, default: float) -> float:
        """A number of either kind, as a float."""
        value = self.get(key, default)
        if not isinstance(value, (int, float)):
            raise self._unknown(key)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """A switch, as MXNet writes it and as files of old have it."""
        value = self.get(key, default)
        known = {"true": True, "false": False, "1": True, "0": False}
        if str(value).lower() not in known:
            raise self._unknown(key)
        return known[str(value).lower()]

    @overload
    def integers(self, key: str) -> tuple[int, ...] | None: ...
    @overload
    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]: ...
    def integers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
        """A tuple, or ``default`` where it is empty or None; a single number counts as a tuple of one."""
        value = self.get(key)
        if value in _NOTHING:
            return default
        held = value if isinstance(value, (tuple, list)) else (value,)
        values = tuple(each for each in held if isinstance(each, int))
        if len(values) < len(held):
            raise self._unknown(key)
        return values

    def only(self, key: str, *possible: Value) -> Value:
        """One of the ``possible`` values, the first of which is the default; any other is refused."""
        value = self.get(key, possible[0])
        if value not in possible:
            raise self._unknown(key)
        return possible[possible.index(value)]

    def ignore(self, *keys: str) -> None:
        """Settings that do not change what is computed at inference."""
        self._unread.difference_update(keys)

    def finish(self) -> None:
        """Refuse the operator if it has a setting that nobody has asked for."""
        for key in sorted(self._unread):
            raise self._unknown(key)

    def refusal(self, reason: str) -> ZooError:
        """The error to raise: the operator cannot be written as ONNX, for this reason."""
        return ZooError(f"the {self._node.operator} {self._node.name!r} cannot be written as ONNX: {reason}")

    def _unknown(self, key: str) -> ZooError:
        return self.refusal(f"there is no translation of {key}={self._node.attributes.get(key)}")
