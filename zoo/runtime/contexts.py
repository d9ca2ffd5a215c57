"""Contexts by name: what ``--ctx`` and ``ctx=`` accept, and what works on this machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from zoo.errors import UnknownName
from zoo.runtime import STATUS, gpus, mx

_NAME = re.compile(r"\s*(cpu|gpu)(?:\((\d+)\))?\s*")
_MAX_CPU_CONTEXTS = 16  # Context::kMaxDevID in MXNet's base.h


@cache
def usable() -> tuple[mx.Context, ...]:
    """``cpu(0)`` and every GPU that this MXNet has machine code for."""
    count = 0
    if STATUS.is_cuda_wheel:
        if gpus.refusal() is None:
            count = min(len(gpus.installed()), mx.context.num_gpus())
    else:
        count = mx.context.num_gpus()  # 0 on the CPU wheel
    return (mx.cpu(0), *(mx.gpu(index) for index in range(count)))


def parse(text: str) -> list[mx.Context]:
    """Parse ``"cpu"``, ``"gpu(1)"`` or ``"cpu(0),cpu(1)"``; raises :class:`UnknownName` if one cannot be used."""
    contexts = []
    for part in text.split(","):
        match = _NAME.fullmatch(part)
        if match is None:
            raise UnknownName(f"{part.strip()!r} is not a context: {_possible()}")
        contexts.append(mx.Context(match[1], int(match[2] or 0)))
    return check(contexts)


def check(ctx: mx.Context | Sequence[mx.Context] | str | None) -> list[mx.Context]:
    """``ctx`` as a list of distinct contexts (None: ``cpu(0)``); raises :class:`UnknownName` if one is unusable."""
    if isinstance(ctx, str):
        return parse(ctx)
    contexts = [mx.cpu(0)] if ctx is None else [ctx] if isinstance(ctx, mx.Context) else list(ctx)
    for context in contexts:
        if not isinstance(context, mx.Context):
            raise UnknownName(f"{context!r} is not a context such as mx.cpu(0): {_possible()}")
        if context.device_type == "cpu" and context.device_id < _MAX_CPU_CONTEXTS:
            continue
        if context not in usable():
            raise UnknownName(f"{context} does not work here{_reason(context)}: {_possible()}")
    if len(set(contexts)) < len(contexts) or not contexts:
        raise UnknownName(
            f"{', '.join(map(str, contexts)) or 'an empty list'} does not name one or more distinct contexts"
        )
    return contexts


def _possible() -> str:
    return f"possible are {', '.join(map(str, usable()))} and, to try several contexts without a GPU, cpu(0),cpu(1)"


def _reason(context: mx.Context) -> str:
    if context.device_type != "gpu":
        return ""
    if not mx.runtime.Features().is_enabled("CUDA"):
        return " (this MXNet was built without CUDA)"
    refusal = gpus.refusal() if STATUS.is_cuda_wheel else None
    return f" ({refusal or 'no such GPU'})"
