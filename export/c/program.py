"""Compile a C file with the machine's compiler, and run it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from export.c.emit import Source
from zoo.errors import ZooError
from zoo.io import children, temporary
from zoo.runtime import isa

FLAGS = ("-std=c99", "-O3", "-ffp-contract=fast")
_LIMIT = 900  # seconds
_DRIVER = """\
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "@NAME@.h"
#define MOST 10000 /* calls that are timed */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compared(const void *one, const void *other)
{
    const double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* Compute all items of a file, then some of them again for some milliseconds; print the median of the microseconds. */
int main(int count, char **arguments)
{
    const int items = count == 5 ? atoi(arguments[3]) : 0;
    const double duration = 1e3 * atof(arguments[4]);
    @KIND@ *input = malloc(sizeof(@KIND@) * (size_t)items * @SIZE@_INPUT);
    float *output = malloc(sizeof(float) * (size_t)items * @SIZE@_OUTPUT);
    FILE *file = fopen(arguments[1], "rb");
    if (!file || !input || !output
            || fread(input, sizeof(@KIND@) * @SIZE@_INPUT, (size_t)items, file) != (size_t)items) {
        return 1;
    }
    fclose(file);
    for (int i = 0; i < items; i++) {
        @NAME@_run(input + (size_t)i * @SIZE@_INPUT, output + (size_t)i * @SIZE@_OUTPUT);
    }
    file = fopen(arguments[2], "wb");
    if (!file || fwrite(output, sizeof(float) * @SIZE@_OUTPUT, (size_t)items, file) != (size_t)items || fclose(file)) {
        return 1;
    }
    static double times[MOST];
    int done = 0;
    const double start = now();
    while (done < MOST && (!done || now() - start < duration)) {
        const double before = now();
        @NAME@_run(input + (size_t)(done % items) * @SIZE@_INPUT, output);
        times[done++] = now() - before;
    }
    qsort(times, (size_t)done, sizeof(double), compared);
    printf("%f\\n", times[done / 2]);
    return 0;
}
"""

Run = Callable[[np.ndarray, float], tuple[np.ndarray, float]]  # items, milliseconds -> outputs, microseconds of an item


@contextmanager
def compiled(source: Source, kind: str, outputs: int, compiler: list[str]) -> Iterator[Run]:
    """Yield a function that runs ``source``, whose inputs are of the C type ``kind``, in a process of its own.

    Raises :class:`ZooError` if the compiler refuses the file, and so does the function if the program fails.
    """
    driver = _DRIVER.replace("@NAME@", source.name).replace("@SIZE@", source.name.upper()).replace("@KIND@", kind)
    with temporary.folder("c-") as folder:
        environment = {"ZIG_GLOBAL_CACHE_DIR": str(folder / "zig"), **os.environ, "TMPDIR": str(folder)}
        program = str(folder / "program")
        command = [*compiler, *FLAGS, *isa.compiler_flags(), "-D_POSIX_C_SOURCE=199309L"]
        for name, text in ((f"{source.name}.c", source.code), ("driver.c", driver)):
            (folder / name).write_text(text)
            command += ["-x", "c", str(folder / name)]  # before each: g++ forgets the language after one file
        (folder / f"{source.name}.h").write_text(source.header)
        _start([*command, "-x", "none", "-o", program, "-lm"], environment, "the compiler refuses the C file")

        def run(items: np.ndarray, milliseconds: float) -> tuple[np.ndarray, float]:
            (folder / "items").write_bytes(np.ascontiguousarray(items).tobytes())
            arguments = [str(folder / "items"), str(folder / "outputs"), str(len(items)), str(milliseconds)]
            (printed,) = _start([program, *arguments], environment, "the compiled C file fails")
            found = np.frombuffer((folder / "outputs").read_bytes(), np.float32)
            return found.reshape(len(items), outputs), float(printed)

        yield run


def version(compiler: list[str]) -> str:
    """Return the first line of what the compiler says of itself."""
    (printed,) = _start([*compiler, "--version"], dict(os.environ), "the compiler does not start")
    return printed.splitlines()[0]


def _start(command: list[str], environment: dict[str, str], claim: str) -> list[str]:
    try:
        return children.run(command, timeout=_LIMIT, env=environment)
    except subprocess.TimeoutExpired:
        raise ZooError(f"{claim}: it takes more than {_LIMIT} seconds") from None
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if "error" in line]
        raise ZooError(f"{claim}: {next(iter(lines), f'exit code {error.returncode}')}") from None
    except OSError as error:
        raise ZooError(f"{claim}: {error.strerror or error}") from None
