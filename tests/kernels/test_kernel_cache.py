"""Whatever is in the kernels' cache, a command succeeds, computes what it should and runs nobody else's code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT

from zoo import kernels
from zoo.io import private
from zoo.kernels import build

OTHER = 12345  # another user's ID
FOUND = kernels.available()
pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not FOUND.usable, reason=FOUND.reason)]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
WORK = """
import json, os, subprocess, sys, zoo
from zoo import kernels
found = kernels.available()
recipe = zoo.Recipe(epochs=1, batch_size=50, dtype="float32")
data = zoo.synthetic(train=100, test=1).train
record = zoo.fit(zoo.get_model("sprint", seed=0), data, recipe=recipe, progress=False).records[-1]
started = os.environ.get("START") and subprocess.run(
    [sys.executable, "-c", "from zoo import kernels; print(kernels.available().why)"],
    env={**os.environ, "START": ""}, capture_output=True, text=True, check=True,
).stdout
print(json.dumps({"why": found.why, "usable": found.usable, "loss": record.train_loss, "started": started,
                  "folder": os.environ.get("ZOO_KERNELS_FOLDER")}))
"""
COMPILER = """#!/bin/sh
# Stands in for g++, which takes ten seconds: says what it is, notes that it linked, delivers what g++ made before.
[ "$1" = --version ] && exec echo a compiler
case " $* " in *" -shared "*) echo linked >> "{log}" ;; esac
while [ "$1" != -o ]; do shift; done
exec cp "{library}" "$2"
"""
PLANT = """
#include <fcntl.h>
__attribute__((constructor)) static void run() { open("MARK", O_CREAT | O_WRONLY, 0666); }
"""


@dataclass(frozen=True)
class Place:
    """A private cache, and a compiler that counts the libraries it links."""

    folder: Path
    compiler: Path

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "ZOO_KERNELS_FOLDER"}
        return {**inherited, "XDG_CACHE_HOME": str(self.folder / "cache"), "CXX": str(self.compiler)}

    @property
    def kernels(self) -> Path:
        return self.folder / "cache" / "mxnet-mnist-zoo" / "kernels"

    @property
    def library(self) -> Path:
        (library,) = self.kernels.glob("*.so")
        return library

    def python(self, code: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *(["-m", *code.split()] if code.startswith("zoo ") else ["-c", code])],
            cwd=ROOT, env={**self.environment, **environment}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def work(self, **environment: str) -> dict:
        """The output of :data:`WORK`; ``compiled`` is the number of libraries that were linked."""
        log = self.folder / "log"
        log.write_text("")
        log.chmod(0o666)
        done = self.python(WORK, **environment)
        assert done.returncode == 0 and not done.stderr, done
        return {**json.loads(done.stdout), "compiled": len(log.read_text().splitlines())}


@pytest.fixture(scope="module")
def library() -> bytes:
    """What g++ makes of the kernels here."""
    return build.obtain(["g++"]).content


@pytest.fixture
def place(library: bytes) -> Iterator[Place]:
    """A folder directly in the temporary directory, since pytest's own folders are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="kernels-cache-"))
    try:
        folder.chmod(0o755)
        compiler = folder / "compiler"
        (folder / "made.so").write_bytes(library)
        compiler.write_text(COMPILER.format(log=folder / "log", library=folder / "made.so"))
        compiler.chmod(0o755)
        yield Place(folder, compiler)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def loss(library: bytes) -> float:
    """The result of training with untouched kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ZOO_KERNELS_FOLDER", raising=False)
        done = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return json.loads(done.stdout)["loss"]


@pytest.fixture
def kept(place: Place, library: bytes) -> Path:
    """The library as an earlier process left it, without the time to compile it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", place.environment["XDG_CACHE_HOME"])
        path = private.cache("kernels") / build._name([str(place.compiler)])
    private.write(path, library)
    return path


@pytest.fixture
def plant() -> Iterator[tuple[bytes, Path]]:
    """Somebody else's library, and the file that it creates when it is loaded."""
    folder = Path(tempfile.mkdtemp(prefix="plant-"))
    mark = folder / "mark"
    folder.chmod(0o777)
    (folder / "plant.c").write_text(PLANT.replace("MARK", str(mark)))
    subprocess.run(["g++", "-x", "c++", "-shared", "-fPIC", "plant.c", "-o", "plant.so"], cwd=folder, check=True)
    yield (folder / "plant.so").read_bytes(), mark
    shutil.rmtree(folder)


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def cut(path: Path, length: float) -> None:
    os.truncate(path, int(length) if length > 1 else int(length * path.stat().st_size))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: cut(path, 0),
    "a half": lambda path: cut(path, 0.5),
    "without the end": lambda path: cut(path, path.stat().st_size - 1),
    "as older versions kept it": lambda path: cut(path, path.stat().st_size - 32),
    "a bit of the header": lambda path: flip(path, 0.0001),
    "a bit of the code": lambda path: flip(path, 0.4),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link": lambda path: path.symlink_to(path.rename(path.with_name("elsewhere"))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_repaired_without_a_word(damage: str, place: Place, kept: Path, loss: float):
    DAMAGE[damage](kept)
    found = place.work()
    assert found["usable"] and found["why"] == f"compiled for this processor; kept in {kept}"
    assert found["loss"] == loss and found["compiled"] == 1
    assert private.read(kept) is not None


def test_what_is_whole_is_used_as_it_is(place: Place, kept: Path, loss: float):
    found = place.work()
    assert (found["loss"], found["compiled"], found["folder"]) == (loss, 0, None)


@pytest.mark.parametrize("without", ["", "del os.memfd_create; "])
def test_what_changes_while_it_runs_is_not_what_runs(without: str, place: Place, kept: Path, loss: float):
    """It runs from memory or, where the system has no files in memory, from a private copy, which goes at the end."""
    code = f"import os; {without}from zoo import kernels; kernels.available(); os.truncate({str(kept)!r}, 0)\n{WORK}"
    temporary = place.folder / "temporary"
    temporary.mkdir()
    done = place.python(code, TMPDIR=str(temporary))
    assert done.returncode == 0 and json.loads(done.stdout)["loss"] == loss, done
    assert not list(temporary.iterdir())


def _directory(path: Path) -> str:
    path.unlink()
    path.mkdir()
    return f"since cannot write {path}: Is a directory"


def _open_to_all(path: Path) -> str:
    path.chmod(0o777)
    return f"since other users can write to {path} "


def _given_away(path: Path) -> str:
    os.chown(path, OTHER, OTHER)
    return f"since {path} belongs to another user (uid {OTHER})"


REFUSED: dict[str, Callable[[Path], str]] = {
    "a directory in its place": _directory,
    "a folder that all can write": lambda path: _open_to_all(path.parent),
    "a folder above that all can write": lambda path: _open_to_all(path.parent.parent),
    "another user's folder": lambda path: _given_away(path.parent),
    "another user's folder above": lambda path: _given_away(path.parent.parent.parent),
}
REPLACED: dict[str, Callable[[Path], str]] = {
    "a file that all can write": _open_to_all,
    "another user's file": _given_away,
}


def _needs_root(cases: dict[str, Callable]) -> list:
    return [pytest.param(name, marks=as_root if name.startswith("another") else ()) for name in cases]


@pytest.mark.parametrize("case", _needs_root(REFUSED))
def test_where_the_cache_does_not_count_a_process_and_those_it_starts_compile_once(
    case: str, place: Place, kept: Path, plant: tuple[bytes, Path], loss: float
):
    content, mark = plant
    private.write(kept, content)
    why = REFUSED[case](kept)
    found = place.work(START="1")
    assert found["usable"] and f"compiled for this process alone, {why}" in found["why"]
    assert found["loss"] == loss and found["compiled"] == 1 and not mark.exists()
    assert "compiled by the process that started this one, since " in found["started"]
    assert not Path(found["folder"]).exists()


@pytest.mark.parametrize("case", _needs_root(REPLACED))
def test_what_others_could_have_written_is_replaced_where_it_is(
    case: str, place: Place, kept: Path, plant: tuple[bytes, Path], loss: float
):
    content, mark = plant
    private.write(kept, content)
    why = REPLACED[case](kept)
    found = place.work()
    assert f"kept in {kept}, compiled anew, {why}" in found["why"]
    assert found["loss"] == loss and found["compiled"] == 1 and not mark.exists()
    assert place.work()["compiled"] == 0


def test_planted_code_would_have_run(place: Place, kept: Path, plant: tuple[bytes, Path]):
    """The same where only this user could have written it: without this, the tests above might plant nothing.

    It is not a library of kernels, which one sentence reports.
    """
    content, mark = plant
    private.write(kept, content)
    found = place.work()
    assert mark.exists() and not found["usable"]
    assert found["why"].startswith("they could not be loaded; ") and "Traceback" not in found["why"]


@as_root
def test_another_users_link_to_the_cache_is_not_followed(place: Place, kept: Path, plant: tuple[bytes, Path]):
    content, mark = plant
    private.write(kept, content)
    link = place.folder / "link"
    link.symlink_to(place.folder / "cache")
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    found = place.work(XDG_CACHE_HOME=str(link))
    assert found["usable"] and f"since {link} belongs to another user" in found["why"] and not mark.exists()


def test_processes_that_start_at_once_do_not_meet(place: Place, loss: float):
    running = [
        subprocess.Popen([sys.executable, "-c", WORK], cwd=ROOT, env=place.environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [json.loads(each.communicate(timeout=300)[0])["loss"] for each in running] == [loss] * 3
    assert os.listdir(place.kernels) == [place.library.name] and private.read(place.library)


def test_doctor_does_not_mind_damage(place: Place, kept: Path):
    flip(kept, 0.4)
    assert_well(place.python("zoo doctor"), f"(compiled for this processor; kept in {kept})")


def test_doctor_says_what_is_refused(place: Place, kept: Path, plant: tuple[bytes, Path]):
    private.write(kept, plant[0])
    why = REFUSED["a folder that all can write"](kept)
    assert_well(place.python("zoo doctor"), "compiled for this process alone, " + why)
    assert not plant[1].exists()


def assert_well(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 0 and "all is well" in done.stdout and "Traceback" not in done.stdout, done
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("kernels"))
    assert "yes" in line
    for word in words:
        assert word in line


def as_user(place: Place, **environment: str) -> str:
    """Where another user's library comes from; modules that may be closed to that user are imported first."""
    if any(not path.stat().st_mode & 0o001 for path in (ROOT, *ROOT.parents)):
        pytest.skip("other users cannot read the project here")
    code = f"""
import os
from zoo.io import files
from zoo.kernels import build
files.user_cache()
os.environ.update({environment})
os.setgroups([])
os.setresgid(*[{OTHER}] * 3)
os.setresuid(*[{OTHER}] * 3)
built = build.obtain([{str(place.compiler)!r}])
print(built.origin, len(built.content), sep="|")
"""
    done = place.python(code)
    assert done.returncode == 0, done
    origin, length = done.stdout.strip().split("|")
    assert int(length) == (place.folder / "made.so").stat().st_size
    return origin


@as_root
def test_other_users_may_use_what_root_compiled(place: Place, kept: Path):
    assert as_user(place) == f"kept in {kept}"
    flip(kept, 0.5)
    assert as_user(place) == f"compiled for this process alone, since cannot write {kept}: Permission denied"


@as_root
def test_a_user_without_a_cache_or_a_home_compiles_for_the_process(place: Place):
    since = "compiled for this process alone, since cannot make "
    assert as_user(place) == f"{since}{place.kernels}: Permission denied"
    assert as_user(place, XDG_CACHE_HOME="", HOME="/nonexistent").startswith(f"{since}/nonexistent/")
