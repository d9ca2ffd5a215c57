"""The folder of a training run: its files, whose it is, and what can be done with what an earlier run left there."""

from __future__ import annotations

import shlex
from pathlib import Path

from zoo.errors import ZooError
from zoo.training.checkpoint import Checkpoint
from zoo.training.history import History

HISTORY, CHECKPOINT, BEST, FINAL = "history.json", "checkpoint.params", "best.params", "final.params"
_ENDS = {
    "running": "was killed",
    "interrupted": "was interrupted",
    "failed": "failed",
    "finished": "is trained but not tested",
    "target": "is trained but not tested",
}


def check_files(folder: Path) -> None:
    """Raise :class:`ZooError` for what is no file, but has the name of one that a run writes or reads."""
    for path in (folder / name for name in (HISTORY, CHECKPOINT, BEST, FINAL)):
        if path.exists() and not path.is_file():
            raise ZooError(f"{path} is in the way: it is not a file")


def check_free(folder: Path) -> None:
    """Raise :class:`ZooError` if ``folder`` holds a run, unless that was killed before it had anything to keep.

    The caller holds the folder's lock: a run that says it is running there has died.
    """
    if (folder / CHECKPOINT).exists():
        checkpoint, _ = Checkpoint.read(folder / CHECKPOINT)
        if not checkpoint.has_progress:
            return
        history = last(folder, checkpoint.history)
        raise ZooError(
            f"{folder} holds a run that {_ENDS[history.stopped]}, with {len(history.records)} of "
            f"{history.recipe.epochs} epochs complete: {resumption(history, folder)} goes on with it; or name another "
            "directory, or delete that one"
        )
    if (folder / HISTORY).exists():
        raise ZooError(f"{folder} holds a run already ({HISTORY}): name another directory, or delete that one")


def complete(folder: Path, history: History) -> None:
    """Write the last that is to be said of a run, and remove what it could have been resumed from."""
    history.write(folder / HISTORY)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def resumption(history: History, folder: Path) -> str:
    """What to type to go on with the run in ``folder``."""
    if history.command is None:
        return "zoo.fit(…, resume=True)"
    return shlex.join(["python", "-m", "zoo", "train", "--resume", str(folder)])


def last(folder: Path, checkpointed: History) -> History:
    """The history in ``folder``, which says how the run ended, or the one ``checkpointed`` if that is damaged."""
    try:
        return History.read(folder / HISTORY)
    except ZooError:
        return checkpointed
