"""The folder of a training run: its files, whose it is, and what can be done with what an earlier run left there."""

from __future__ import annotations

import shlex
from pathlib import Path

from zoo.errors import ZooError
from zoo.training.history import History

HISTORY, CHECKPOINT, BEST, FINAL = "history.json", "checkpoint.params", "best.params", "final.params"
_ENDS = {"running": "was killed", "interrupted": "was interrupted", "failed": "failed"}


def check_free(folder: Path) -> None:
    """Raise :class:`ZooError` if ``folder`` holds a run, unless that was killed before it had anything to keep.

    The caller holds the folder's lock: a run that says it is running there has died.
    """
    history = _history(folder)
    resumable = (folder / CHECKPOINT).exists()
    if history is not None and resumable and history.stopped in _ENDS:
        raise ZooError(
            f"{folder} holds a run that {_ENDS[history.stopped]}, with {len(history.records)} of "
            f"{history.recipe.epochs} epochs complete: {resumption(history, folder)} goes on with it; or name another "
            "directory, or delete that one"
        )
    began_only = history is not None and history.stopped == "running" and not history.records
    if resumable or ((folder / HISTORY).exists() and not began_only):
        raise ZooError(f"{folder} holds a run already ({HISTORY}): name another directory, or delete that one")


def resumption(history: History, folder: Path) -> str:
    """What to type to go on with the run in ``folder``."""
    if history.command is None:
        return "zoo.fit(…, resume=True)"
    return shlex.join(["python", "-m", "zoo", "train", "--resume", str(folder)])


def _history(folder: Path) -> History | None:
    """The history in ``folder``, None if it is missing or damaged."""
    try:
        return History.read(folder / HISTORY)
    except ZooError:
        return None
