"""Programs that end with this process, however it ends, and take with them whatever they have started."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

# Runs a program in the process group that it leads, and kills the group once its input ends: that is a pipe whose other
# end only this process holds, and the system closes it when this process dies.
_GUARD = """
import os, signal, subprocess, sys, threading
try:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
except OSError as error:
    sys.exit(f"error: {error}")
def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
code = child.wait()
os._exit(code if code >= 0 else 128 - code)
"""


@contextmanager
def started(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | None = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Start ``command``; at the end of the block, it is killed with all that it started, if it still runs.

    Its input is empty; its errors, and its output unless ``stdout`` is None, are pipes of text. Ctrl-C in a terminal
    reaches only this process. Raises :class:`OSError` if there is no such program.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    # Python itself may be out of reach of a user that this process has become.
    guard = [sys.executable, "-I", "-S", "-c", _GUARD] if os.access(sys.executable, os.X_OK) else []
    end, held = os.pipe()
    try:
        process = subprocess.Popen(
            [*guard, *command], start_new_session=True, stdin=end if guard else subprocess.DEVNULL, stdout=stdout,
            stderr=subprocess.PIPE, env=env, cwd=cwd, text=True, errors="replace",
        )  # fmt: skip
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(end)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            os.close(held)


def run(
    *commands: Sequence[str],
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | None = subprocess.PIPE,
) -> list[str]:
    """Run all ``commands`` at the same time and return what they print; the first failure ends all of them.

    Raises as :func:`subprocess.run` does with ``check``: the error has the output and the errors of the program.
    """
    outputs = []
    with ExitStack() as stack:
        processes = [stack.enter_context(started(command, env, cwd, stdout)) for command in commands]
        for command, process in zip(commands, processes):
            output, errors = process.communicate(timeout=timeout)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, list(command), output, errors)
            outputs.append(output)
    return outputs
