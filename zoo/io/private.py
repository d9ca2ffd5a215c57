"""Folders and files that only this user can change, where code may be kept between runs.

Whoever can write to a file of machine code or Python code objects can run code as the user who loads it. Such files
are kept in a folder that :func:`cache` has checked; :func:`write` appends a SHA-256 to their content, and :func:`read`
returns only content that matches it. Ownership keeps other users out; the hash detects damage. ``root`` is trusted
like the user, since it can do anything to this process anyway.

The rules are those of OpenSSH's ``StrictModes``: no directory or link on the path may belong to, or be writable by,
another user. A sticky directory such as ``/tmp`` is allowed on the path, since nobody can move another user's files
there. Every command runs this code before MXNet is imported, so this module imports little.
"""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from zoo.errors import ZooError
from zoo.io import files, temporary

_DIGEST = 32  # bytes of the SHA-256 after the content
_MOST_LINKS = 40  # that Linux follows in one path


def cache(name: str) -> Path:
    """The folder ``name`` in the user's cache, made if missing; raises :class:`ZooError` unless it is private."""
    folder = files.user_cache() / name
    try:
        make(folder)
    except OSError as error:
        raise ZooError(f"cannot make {folder}: {error.strerror or error}") from error
    check(folder)
    return folder


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder that nobody else can enter or move away; raises :class:`ZooError` if there is none."""
    with ExitStack() as stack:
        refusals = []
        for place in (None, Path("/dev/shm")):  # a container's /tmp may lack the sticky bit
            try:
                found = stack.enter_context(temporary.folder(parent=place))
                check(found)
            except ZooError as error:
                refusals.append(error)
            else:
                yield found
                return
        raise refusals[0]


def lasting_folder() -> Path:
    """Make such a folder that stays until this process ends."""
    stack, owner = ExitStack(), os.getpid()
    found = stack.enter_context(folder())

    def remove() -> None:
        if os.getpid() == owner:  # and not in a fork
            stack.close()

    atexit.register(remove)
    return found


def make(folder: Path) -> None:
    """Make ``folder`` and its missing parents, writable by nobody else even if the umask would allow it."""
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(0o755, exist_ok=True)


def check(folder: Path) -> None:
    """Raise :class:`ZooError` if another user could change the contents of ``folder``; the message says who."""
    try:
        *above, (own, found) = _way(folder)
        upper = {0, os.geteuid(), os.stat("/").st_uid}  # noqa: PTH116  the owner of / counts as root
    except OSError as error:
        raise ZooError(f"cannot look into {folder}: {error.strerror or error}") from error
    for path, status in above:
        _refuse(path, status, upper, sticky=True)
    _refuse(own, found, {0, os.geteuid()})
    if not stat.S_ISDIR(found.st_mode):
        raise ZooError(f"{own} is not a directory")


def read(path: Path) -> bytes | None:
    """Return what :func:`write` wrote to ``path``, in a folder that passed :func:`check`.

    Returns None if the file is missing or damaged; raises :class:`ZooError` if another user could have written it.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block
        with open(number, "rb") as file:  # noqa: PTH123
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                return None
            _refuse(path, status, {0, os.geteuid()})
            content = file.read()
    except OSError:
        return None
    content, digest = content[:-_DIGEST], content[-_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def write(path: Path, content: bytes) -> None:
    """Write ``content`` atomically to ``path``, for :func:`read`; raises :class:`ZooError` if it cannot be written.

    The hash follows the content, so that a shared library can still be loaded by its path.
    """
    try:
        with temporary.file(path) as (descriptor, part):
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content + hashlib.sha256(content).digest())
            part.chmod(0o644 & ~files.umask())
            part.replace(path)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {error.strerror or error}") from error


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every directory and link that the system traverses from ``/`` to ``path``, which comes last."""
    place, pending, links = Path("/"), [*reversed((Path.cwd() / path).parts[1:])], 0
    yield place, os.lstat(place)
    while pending:
        name = pending.pop()
        if name == "..":
            place = place.parent
            continue
        each = place / name
        status = os.lstat(each)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = Path(os.readlink(each))  # noqa: PTH115
            if target.is_absolute():
                place = Path("/")
            pending += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        else:
            place = each
        yield each, status
    yield place, os.lstat(place)


def _refuse(path: Path, status: os.stat_result, owners: set[int], sticky: bool = False) -> None:
    """Raise :class:`ZooError` if anybody besides ``owners`` could change ``path``."""
    if status.st_uid not in owners:
        raise ZooError(f"{path} belongs to another user (uid {status.st_uid})")
    if stat.S_ISLNK(status.st_mode) or (sticky and status.st_mode & stat.S_ISVTX):
        return
    to_group = status.st_mode & stat.S_IWGRP and not _is_own_group(path, status.st_gid)
    if to_group or status.st_mode & stat.S_IWOTH:
        raise ZooError(f"other users can write to {path} (chmod go-w {path} stops them)")


def _is_own_group(path: Path, group: int) -> bool:
    """Whether ``group`` is this user's private group, to which a umask of 002 gives write access."""
    import grp
    import pwd

    with suppress(OSError, AttributeError):  # AttributeError: not Linux
        os.getxattr(path, "system.posix_acl_access")  # with an ACL, the group bits cover other users too
        return False
    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    if user.pw_gid != group or user.pw_name != found.gr_name or not set(found.gr_mem) <= {user.pw_name}:
        return False
    return all(other.pw_uid == user.pw_uid for other in pwd.getpwall() if other.pw_gid == group)
