"""Shared code of the command lines: errors become one sentence and an exit code instead of a traceback."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType

from zoo.errors import ZooError

USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130
_GPU_IS_FULL = re.compile(r"cuda.*out of memory|(CUDNN|CUBLAS)_STATUS_ALLOC_FAILED", re.IGNORECASE)
_ERRORS_AT_MOST = 100  # that MXNet's engine may hold, one per array that could not be computed


def run_command(module: str, prog: str, description: str, argv: Sequence[str] | None = None) -> int:
    """Import ``module`` and run it: ``add_arguments(parser)`` declares its options, ``run(arguments)`` does the work.

    ``arguments.command_line`` is the command line, to be recorded with its results, and ``arguments.started`` is
    ``time.monotonic()`` before the import. The errors that :func:`guarded` expects, during the import too, end in a
    sentence on stderr and a non-zero exit code; any other exception keeps its traceback.
    """
    started = time.monotonic()

    def command() -> int:
        _check_threads(8 + 2 * (os.cpu_count() or 1))  # OpenBLAS and OpenMP start one for each CPU, MXNet a few more
        loaded = import_module(module)
        parser = argparse.ArgumentParser(prog=prog, description=description)
        loaded.add_arguments(parser)
        line = shlex.join([*prog.split(), *(sys.argv[1:] if argv is None else argv)])
        parser.set_defaults(command_line=line, started=started)
        return loaded.run(parser.parse_args(argv))

    return guarded(command)


def guarded(command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit code; SIGTERM and SIGHUP act like Ctrl-C."""
    _prepare_streams()
    try:
        with _terminated_like_interrupted():
            code = command()
        sys.stdout.flush()
        return code
    except ZooError as error:
        return _fail(str(error), USAGE_ERROR)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        _abandon_stdout()
        return FAILURE
    except OSError as error:
        _abandon_stdout()  # stdout may be what failed, and would fail again when Python exits
        where = error.filename if error.filename else "to write the output"
        return _fail(f"the system refused {where}: {error.strerror or error}", FAILURE)
    except MemoryError:
        return _fail("not enough memory: try a smaller batch size", FAILURE)
    except Exception as error:
        if type(error).__name__ != "MXNetError":  # by name, since MXNet may be what is missing
            raise
        _drain(sys.modules["mxnet"])
        return _fail(f"MXNet: {mxnet_reason(error)}", FAILURE)


def _check_threads(needed: int) -> None:
    """Raise :class:`ZooError` unless the system starts ``needed`` threads: native libraries abort or hang without."""
    possible = startable_threads(needed)
    if possible < needed:
        raise ZooError(
            f"the system lets this process start {possible} threads, and MXNet and NumPy need {needed} here: raise "
            "the limit (ulimit -u, or that of the container)"
        )


def startable_threads(most: int) -> int:
    """How many threads the system lets this process start, tried up to ``most``."""
    end = threading.Event()
    started: list[threading.Thread] = []
    with suppress(RuntimeError):
        while len(started) < most:
            thread = threading.Thread(target=end.wait)
            thread.start()
            started.append(thread)
    end.set()
    for thread in started:
        thread.join()
    return len(started)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM and SIGHUP act like Ctrl-C; afterwards, what the caller had set for them counts again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:  # None: not set by Python
                signal.signal(number, handler)


def mxnet_reason(error: Exception) -> str:
    """The message of an ``MXNetError``, without the native stack trace around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["it failed"]
    reason = next((line.partition(": ")[2] for line in lines if line.startswith("MXNetError:")), lines[0])
    if _GPU_IS_FULL.search(reason):
        return "not enough memory on the GPU: try a smaller batch size, or end what else runs there"
    return reason


def _drain(mxnet: ModuleType) -> None:
    """Wait for all pending operations: their errors would otherwise end the exiting process in a traceback."""
    for _ in range(_ERRORS_AT_MOST):
        with suppress(mxnet.base.MXNetError):
            mxnet.nd.waitall()
            return


def _prepare_streams() -> None:
    """Make printing work on terminals without Unicode and on closed streams; show warnings as sentences."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)


def _abandon_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code
