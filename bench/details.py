"""The tables below the main one: the operators of each cell, and latencies under a steady rate of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.cells import Latency, Operator, Profile
from bench.tables import lay_out

_SHOWN = 12  # operators; the rest are summed up
_ENOUGH_FOR_P99 = 100  # requests; with fewer, the p99 is little more than their maximum
_OPERATORS = ("operator", "calls", "total ms", "share", "mean µs")
_LATENCIES = ("model", "context", "dtype", "offered/s", "achieved/s", "p50 ms", "p90", "p99", "max", "requests")
_LEFT = {"operator", "model", "context", "dtype"}


def render(latencies: Sequence[Latency], profiles: Sequence[Profile], style: str) -> str:
    """Render all of them in one of tabulate's formats, one below the other; empty if there are none."""
    return "\n\n".join([*_latencies(latencies, style), *(_profile(each, style) for each in profiles)])


def _latencies(latencies: Sequence[Latency], style: str) -> Iterator[str]:
    measured = [each for each in latencies if each.error is None]
    if measured:
        yield lay_out([_latency_row(each) for each in measured], _LATENCIES, _LEFT, style)
    notes = [f"failed: latency of {each.cell}: {each.error}" for each in latencies if each.error is not None]
    if not all(each.kept_up for each in measured):
        notes.append("! more requests than could be answered, so the queue kept growing")
    if any(len(each.seconds) < _ENOUGH_FOR_P99 for each in measured):
        notes.append(f"~ from fewer than {_ENOUGH_FOR_P99} requests")
    if measured:
        notes.append("latency: of single images that arrive on schedule, from their arrival to their logits")
    if notes:
        yield "\n".join(notes)


def _latency_row(latency: Latency) -> tuple[str, ...]:
    cell, tail = latency.cell, "" if len(latency.seconds) >= _ENOUGH_FOR_P99 else "~"
    return (
        cell.model,
        cell.context,
        cell.dtype,
        f"{latency.rate:,.1f}",
        f"{latency.achieved:,.1f}" + ("" if latency.kept_up else "!"),
        f"{latency.milliseconds(50):,.2f}",
        f"{latency.milliseconds(90):,.2f}",
        f"{latency.milliseconds(99):,.2f}{tail}",
        f"{latency.milliseconds(100):,.2f}",
        f"{len(latency.seconds):,}",
    )


def _profile(profile: Profile, style: str) -> str:
    if profile.error is not None:
        return f"failed: operators of {profile.cell}: {profile.error}"
    total, rest = profile.operator_seconds, profile.operators[_SHOWN:]
    shown = list(profile.operators[:_SHOWN])
    if rest:
        calls = sum(operator.calls for operator in rest)
        shown.append(Operator(f"{len(rest)} others", calls, sum(operator.seconds for operator in rest)))
    spent = f"{profile.batches} batches in {profile.seconds:.2f} s"
    return f"operators of {profile.cell}: {spent}, every call in {profile.trace}\n" + lay_out(
        [_operator_row(operator, total) for operator in shown], _OPERATORS, _LEFT, style
    )


def _operator_row(operator: Operator, total: float) -> tuple[str, ...]:
    return (
        operator.name,
        f"{operator.calls:,}",
        f"{operator.seconds * 1e3:,.2f}",
        f"{operator.seconds / total:.1%}" if total else "",
        f"{operator.seconds / operator.calls * 1e6:,.0f}",
    )
