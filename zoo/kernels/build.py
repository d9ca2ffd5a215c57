"""Where the compiled library comes from: the user's cache, or a compiler.

A library is code, so the cache counts only where nobody but this user can write to it (:mod:`zoo.io.private`). Where it
does not count, or cannot be written, a process compiles the library into a temporary folder of its own, which the
processes that it starts read too and which goes when it ends.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError
from zoo.io import children, private
from zoo.progress import is_watched
from zoo.runtime import cpus, isa

_FOLDER = Path(__file__).parent
_SOURCES = sorted(_FOLDER.glob("*.cc"))
_HEADERS = sorted(_FOLDER.glob("*.h"))
# Results are those of IEEE arithmetic but for the order of sums; flags that also change the process (such as
# -ffast-math, which rounds tiny numbers to zero everywhere) have no place in a library.
_FLAGS = (
    "-std=c++17", "-O3", "-mprefer-vector-width=512", "-fno-math-errno", "-fno-trapping-math",
    "-fopenmp-simd", "-fPIC",
)  # fmt: skip
_LIMIT = 600  # seconds; it takes ten or so, and a hundred where ziglang's compiles its standard library first
_HANDED_DOWN = "ZOO_KERNELS_FOLDER"  # set by a process that has a temporary folder, for those that it starts


@dataclass(frozen=True)
class Built:
    """A compiled library, and what became of it."""

    content: bytes  # of a shared library
    origin: str  # where it is kept, or why it was compiled for this process alone


def obtain(compiler: list[str]) -> Built:
    """The library for this processor by ``compiler`` (a command), compiled if it is not there or not to be trusted.

    Raises :class:`OSError`, :class:`ZooError` or :class:`subprocess.SubprocessError` where it cannot be compiled.
    """
    name = _name(compiler)
    kept, content, objection = None, None, None
    try:
        kept = private.cache("kernels") / name
        content = private.read(kept)
    except ZooError as error:
        objection = str(error)
    if content is not None:
        return Built(content, f"kept in {kept}")
    return _handed_down(name, objection) or _compiled(compiler, name, kept, objection)


def _flags() -> list[str]:
    return [*_FLAGS, *isa.compiler_flags()]


def _name(compiler: list[str]) -> str:
    """A file name that tells sources, compiler and processor apart."""
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=True, timeout=_LIMIT).stdout
    parts = [version, cpus.model_name().encode(), " ".join(sorted(isa.flags())).encode(), " ".join(_flags()).encode()]
    parts += [path.read_bytes() for path in (*_HEADERS, *_SOURCES)]
    return f"kernels-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}.so"


def _handed_down(name: str, objection: str | None) -> Built | None:
    """The library in the temporary folder of a process that started this one, if there is one and it is private."""
    folder = os.environ.get(_HANDED_DOWN)
    if not folder:
        return None
    path = Path(folder) / name
    with suppress(ZooError):
        private.check(path.parent)
        content = private.read(path)
        if content is not None:
            objection = objection or "the cache cannot be written"
            return Built(content, f"compiled by the process that started this one{_because(objection)}")
    return None


def _compiled(compiler: list[str], name: str, kept: Path | None, objection: str | None) -> Built:
    """A new library, in the cache at ``kept`` if that is private and can be written, else in a temporary folder."""
    if is_watched():
        often = "once" if kept is not None else f"for this process alone{_because(objection)}"
        print(f"compiling kernels for this processor, {often}", file=sys.stderr)
    with private.folder() as folder:
        content = _compile(compiler, folder)
    if kept is not None:
        try:
            private.write(kept, content)
            anew = f", compiled anew{_because(objection)}" if objection else ""
            return Built(content, f"kept in {kept}{anew}")
        except ZooError as error:
            objection = str(error)
    with suppress(ZooError):  # a full disk
        _hand_down(name, content)
    return Built(content, f"compiled for this process alone{_because(objection)}")


def _compile(compiler: list[str], folder: Path) -> bytes:
    # The compiler's own temporary files go into a folder that is removed, should the compiler be killed. So does the
    # standard library that ziglang's compiles.
    zig = folder / "zig"
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(zig), **os.environ, "TMPDIR": str(folder)}

    command = [*compiler, *_flags()]
    built = folder / "built.so"
    objects = {str(source): str(folder / f"{source.stem}.o") for source in _SOURCES}
    compilations = [[*command, "-c", source, "-o", output] for source, output in objects.items()]
    children.run(*compilations, timeout=_LIMIT, env=environment)
    children.run([*command, "-shared", *objects.values(), "-o", str(built), "-ldl"], timeout=_LIMIT, env=environment)
    content = built.read_bytes()
    for path in (built, *map(Path, objects.values())):
        path.unlink()
    shutil.rmtree(zig, ignore_errors=True)
    return content


def _hand_down(name: str, content: bytes) -> None:
    """Keep ``content`` until this process ends, for those that it starts."""
    folder = private.lasting_folder()
    private.write(folder / name, content)
    os.environ[_HANDED_DOWN] = str(folder)


def _because(objection: str | None) -> str:
    return f", since {objection}" if objection else ""
