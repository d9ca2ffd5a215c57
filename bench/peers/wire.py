"""How a side is driven: a JSON request on its stdin, then a number of batches a line; a JSON answer to each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from zoo.errors import ZooError

Runner = Callable[[int], dict]  # runs that many batches; {"seconds": …, "images": …}


def serve(prepare: Callable[[dict], Runner]) -> None:
    """The side's half: prepare for the request, then run batches as asked until stdin closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    run = prepare(json.loads(sys.stdin.readline()))
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps(run(int(line))), file=answers)


class Side:
    """The harness's half: one process, entered to start it, left to end it."""

    def __init__(self, module: str, request: dict, environment: dict[str, str]) -> None:
        self._module, self._request, self._environment = module, request, environment

    def __enter__(self) -> Side:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=self._environment, start_new_session=True,
        )  # fmt: skip
        self._ask(json.dumps(self._request))
        return self

    def run(self, batches: int) -> dict:
        return self._ask(str(batches))

    def _ask(self, line: str) -> dict:
        try:
            print(line, file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            said = [text for text in self._process.communicate()[1].splitlines() if text.strip()]
            raise ZooError(f"{self._module} ended: {said[-1] if said else 'it said nothing'}")
        return json.loads(answer)

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.communicate()
