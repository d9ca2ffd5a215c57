"""Git revisions of the repository around the working directory, checked out side by side."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench
from zoo.errors import UnknownName, ZooError
from zoo.io import temporary


@dataclass(frozen=True)
class Revision:
    """A commit, and what the user called it."""

    name: str
    sha: str

    def __str__(self) -> str:
        return self.sha[:12] if self.sha.startswith(self.name) else f"{self.name} ({self.sha[:12]})"


def resolve(name: str) -> Revision:
    """Return the commit that ``name`` stands for; raises :class:`UnknownName` if there is none."""
    try:
        top = _top()
    except subprocess.CalledProcessError:
        raise UnknownName(
            f"{name!r} is no file, and no revision either: {Path.cwd()} is not in a git repository"
        ) from None
    try:
        sha = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        raise UnknownName(
            f"{name!r} is neither a file nor a revision of {top}, such as HEAD~1, a tag or a sha"
        ) from None
    try:
        _git("cat-file", "-e", f"{sha}:zoo/models/__init__.py")
    except subprocess.CalledProcessError:
        raise ZooError(
            f"{name} of {top} has no package zoo that could be measured: its modules must lie where they do now, "
            "and for older revisions there is their own bench compare"
        ) from None
    return Revision(name, sha)


def has_changes() -> bool:
    """Whether there are uncommitted changes to tracked files."""
    return bool(_git("status", "--porcelain", "--untracked-files=no"))


@contextmanager
def checked_out(revision: Revision) -> Iterator[Path]:
    """Provide a temporary folder with that revision's ``zoo`` and the current ``bench``, to start Python in."""
    with temporary.folder() as root:
        archive, tree, folder = root / "archive.tar", root / "tree", root / "packages"
        try:  # not as a worktree, which git would remember if this process were killed
            _git("-C", _top(), "archive", f"--output={archive}", revision.sha, "zoo")
        except subprocess.CalledProcessError as error:
            raise ZooError(f"git cannot check out {revision}: {error.stderr.strip().splitlines()[-1]}") from None
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):  # it came with later releases of Python 3.9 to 3.11
                packed.extraction_filter = tarfile.data_filter
            packed.extractall(tree)
        folder.mkdir()
        (folder / "zoo").symlink_to(tree / "zoo")
        (folder / "bench").symlink_to(Path(bench.__file__).parent)
        yield folder


def _top() -> str:
    return _git("rev-parse", "--show-toplevel")


def _git(*arguments: str) -> str:
    """Return what git prints; it runs in its own session, so that Ctrl-C in the terminal does not stop it halfway."""
    try:
        done = subprocess.run(
            ["git", *arguments], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise ZooError("there is no git here: without it only result files can be compared") from None
    return done.stdout.strip()
