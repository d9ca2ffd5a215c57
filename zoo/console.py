"""What the command lines share: one sentence and an exit code instead of a traceback."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence

from zoo.errors import ZooError

USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130

Main = Callable[[Sequence[str] | None], int] if sys.version_info >= (3, 10) else Callable


def command_line(main: Main) -> Main:
    """Decorate ``main(argv=None)``: what goes wrong ends in a sentence on stderr and a non-zero code."""

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        try:
            code = main(argv)
            sys.stdout.flush()
            return code
        except ZooError as error:
            return _fail(str(error), USAGE_ERROR)
        except KeyboardInterrupt:
            return _fail("interrupted", INTERRUPTED)
        except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILURE
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            return _fail(f"the system refused{where}: {error.strerror or error}", FAILURE)
        except MemoryError:
            return _fail("not enough memory: try a smaller batch size", FAILURE)
        except Exception as error:
            if type(error).__name__ != "MXNetError":  # not imported: MXNet may be what is missing
                raise
            return _fail(f"MXNet: {mxnet_reason(error)}", FAILURE)

    return guarded


def mxnet_reason(error: Exception) -> str:
    """What an ``MXNetError`` says, without the native stack around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith(("MXNetError:", "Error"))),
        lines[0] if lines else "failed",
    )


def _fail(sentence: str, code: int) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return code
