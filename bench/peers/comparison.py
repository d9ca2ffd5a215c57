"""Interleaved rounds of any number of sides, each in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.cells import Round
from bench.contention import Others
from bench.peers.results import Result
from bench.peers.works import Configuration, Work
from bench.sides.checks import Check
from bench.sides.environment import untuned_environment
from bench.sides.wire import LIMIT, Side, SideFailed, batches_for
from zoo.io import children
from zoo.runtime import cpus, isa

MISSING = "not installed: pip install '.[peers]'"


@dataclass(frozen=True)
class Rounds:
    """How much to run."""

    rounds: int
    seconds: float  # per turn of a side; a turn is at least one batch
    batches: int | None = None  # per turn, instead of as many as fit into the seconds


@dataclass
class _Participant:
    """One side while it takes part; its first error takes it out."""

    configuration: Configuration
    side: Side = field(init=False)  # set when it is started
    check: Check | None = None
    batches: int = 1  # per turn
    rounds: list[Round] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    error: str | None = None

    def result(self) -> Result:
        if self.error:
            return Result(self.configuration, check=self.check, error=self.error)
        return Result(self.configuration, tuple(self.rounds), self.check, others=tuple(self.others))


def hand_over(model: str, data: str | None, folder: Path) -> None:
    """Fill ``folder`` with what all sides start from; raises :class:`SideFailed` if that fails."""
    command = [sys.executable, "-m", "bench.sides.handover", model, data or "", str(folder)]
    try:
        children.run(command, timeout=LIMIT, env=untuned_environment())
    except subprocess.CalledProcessError as error:
        said = [line.strip() for line in error.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise SideFailed(f"{model} could not be prepared: {said[-1]}") from None
    except subprocess.TimeoutExpired:
        raise SideFailed(f"{model} was not prepared within {LIMIT} s") from None


def compare(
    work: Work,
    configurations: Sequence[Configuration],
    folder: Path,
    data: str | None,
    plan: Rounds,
    progress: Callable[[Configuration], None] = lambda configuration: None,
) -> list[Result]:
    """Run all sides in turn, from what :func:`hand_over` left in ``folder``; ``progress`` is called at every step.

    First they load in parallel; then each is checked and warmed up; then come the rounds, in which one side works while
    the others wait. Each side takes ``steps(plan)`` steps.
    """
    everyone = [_Participant(each) for each in configurations]
    environment = {**untuned_environment(), **isa.settings()}
    with ExitStack() as stack:

        def start(participant: _Participant) -> None:
            reason = missing(participant.configuration, folder)
            if reason is not None:
                raise SideFailed(reason)
            request = _request(work, participant.configuration, folder, data)
            side = Side(f"bench.sides.{participant.configuration.module}", request, environment)
            participant.side = stack.enter_context(side)

        def prepare(participant: _Participant) -> None:
            participant.side.ready()
            participant.check = Check(dtype=participant.configuration.dtype, **participant.side.check())
            participant.batches = plan.batches or batches_for(participant.side, plan.seconds)

        def turn(participant: _Participant) -> None:
            others = Others(participant.side.pid)
            participant.rounds.append(Round(**participant.side.run(participant.batches)))
            participant.others.append(others.share())

        rounds = [(_rotated(everyone, number), turn) for number in range(plan.rounds)]
        for participants, action in [(everyone, start), (everyone, prepare), *rounds]:
            for participant in participants:
                progress(participant.configuration)
                if participant.error is None:
                    try:
                        action(participant)
                    except SideFailed as failure:
                        participant.error = str(failure)
    return [participant.result() for participant in everyone]


def steps(plan: Rounds) -> int:
    """Count the steps of each side: the start, the check and warm-up, and its turn in every round."""
    return 2 + plan.rounds


def missing(configuration: Configuration, folder: Path) -> str | None:
    """Return why a side cannot even start; None if it can."""
    if any(importlib.util.find_spec(package) is None for package in configuration.requires):
        return MISSING
    return json.loads((folder / "facts.json").read_text())["onnx"] if "onnx" in configuration.requires else None


def _request(work: Work, configuration: Configuration, folder: Path, data: str | None) -> dict[str, Any]:
    return {
        **asdict(work),
        **asdict(configuration),
        "start": "initial" if work.phase == "train" else "trained",
        "folder": str(folder),
        "data": data,
        "threads": cpus.usable(),
    }


def _rotated(sides: Sequence[_Participant], number: int) -> list[_Participant]:
    """Return another order for every round, forwards and backwards, so that no side always follows the same one."""
    start = number % len(sides)
    order = [*sides[start:], *sides[:start]]
    return order if number % 2 == 0 else order[::-1]
