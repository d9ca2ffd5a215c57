"""The protocol of measuring processes: a JSON request on stdin, then a command per line; a JSON answer to each."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.console import mxnet_reason
from zoo.errors import ZooError
from zoo.io import places
from zoo.io.parent import die_with_parent

LIMIT = 240  # seconds for any one answer


class SideFailed(ZooError):
    """A side exited, failed or kept silent; carries the reason."""


class NoAnswer(SideFailed):
    """A side did not answer in time."""


@dataclass(frozen=True)
class Prepared:
    """What a side can do once it is ready."""

    run: Callable[[int], dict[str, Any]]  # process this many batches; returns {"images": …, "seconds": …}
    check: Callable[[], dict[str, Any]]  # the fields of bench.sides.checks.Check; called before any run


def serve(prepare: Callable[[dict[str, Any]], Prepared]) -> None:
    """Act as the side: prepare for the request, then run batches as asked until stdin closes."""

    def answers(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        prepared = prepare(request)
        yield {"ready": True}
        for line in sys.stdin:
            command = json.loads(line)
            yield prepared.check() if command == "check" else prepared.run(command)

    reply(answers)


def reply(answers: Callable[[dict[str, Any]], Iterable[dict[str, Any]]]) -> None:
    """Read the request and print the answers that ``answers`` yields; what it raises becomes the last answer.

    Ends this process when the harness ends, whatever it is doing.
    """
    die_with_parent()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    try:
        for answer in answers(json.loads(sys.stdin.readline())):
            print(json.dumps(answer), file=out)
    except Exception as error:
        print(json.dumps({"error": _problem(error)}), file=out)


def _problem(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    named = isinstance(error, ZooError) or any(kind.__name__ == "MXNetError" for kind in type(error).__mro__)
    return ("" if named else f"{type(error).__name__}: ") + places.told(mxnet_reason(error))


class Side:
    """The harness's end of the protocol: a process that starts on entry and is killed on exit."""

    def __init__(
        self,
        module: str,
        request: dict[str, Any],
        environment: dict[str, str],
        limit: float = LIMIT,
        folder: Path | None = None,  # working directory, where Python looks for packages first
    ) -> None:
        self._module, self._request, self._environment, self._limit = module, request, environment, limit
        self._folder = folder

    def __enter__(self) -> Side:
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # a pipe that nobody reads would fill up
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                text=True, env=self._environment, cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        except OSError:
            self._log.close()
            raise
        try:
            self._send(self._request)
        except BaseException:  # Ctrl-C, too, which does not reach the process in its own session
            self.__exit__()
            raise
        return self

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    def ready(self) -> None:
        """Wait until the side is prepared; entering only starts it, so that several sides can prepare at once."""
        self.answer()

    def check(self) -> dict[str, Any]:
        """Ask what the side computes, as :attr:`Prepared.check` returns it."""
        self._send("check")
        return self.answer()

    def run(self, batches: int) -> dict[str, Any]:
        """Process this many batches; returns how many images they held, and how long they took."""
        self._send(batches)
        return self.answer()

    def _send(self, message: object) -> None:
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise SideFailed(self._last_words()) from None

    def answer(self) -> dict[str, Any]:
        """Return the next answer; raises :class:`SideFailed` if there is none."""
        answers = self._process.stdout
        assert answers is not None  # a pipe
        if not select.select([answers], [], [], self._limit)[0]:
            raise NoAnswer(f"no answer within {self._limit:.0f} s")
        line = answers.readline()
        if not line.endswith("\n"):
            raise SideFailed(self._last_words())
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:  # from a module that prints when Python starts
            raise SideFailed(f"it said {line.strip()!r} instead of an answer") from None
        if "error" in answer:
            raise SideFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        try:
            code = self._process.wait(self._limit)
        except subprocess.TimeoutExpired:
            return f"it did not end within {self._limit:.0f} s"
        if code < 0:
            name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
            return f"killed by {name}" + (", probably out of memory" if name == "SIGKILL" else "")
        self._log.seek(0)
        said = [line.strip() for line in self._log if line.strip()]
        return said[-1] if said else f"the process ended with {code} and said nothing"

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and whatever it started, such as compilers
        with suppress(BrokenPipeError), self._log, self._process:  # closes the pipes, and waits
            pass


def batches_for(side: Side, seconds: float) -> int:
    """Find how many batches take ``seconds`` by running more and more of them, which also warms the side up."""
    side.run(1)
    batches, done = 1, side.run(1)
    while done["seconds"] < seconds / 3:
        batches = math.ceil(batches * min(10.0, 0.7 * seconds / done["seconds"]))
        done = side.run(batches)
    return max(1, round(batches * seconds / done["seconds"]))
