"""From the directories of training runs to an entry of the manifest: several seeds, one of which is published."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo import models, training
from zoo.data import Dataset
from zoo.data.corruptions import CORRUPTIONS, corrupt
from zoo.errors import ZooError
from zoo.io import files
from zoo.models import weights
from zoo.models.pretrained import manifest
from zoo.models.pretrained.manifest import TEST_IMAGES, Pretrained
from zoo.runtime import mx
from zoo.training import History
from zoo.training.history import Command, Score

_ALIKE = ("model", "recipe", "training_images", "validation_images")
_TOLERANCE = 10  # errors by which another machine's test, on a GPU say, may differ from this one's


@dataclass(frozen=True)
class TrainingRun:
    """A directory that ``python -m zoo train --out`` wrote."""

    folder: Path
    history: History
    command: Command  # of the history
    test: Score
    sha256: str  # of final.params

    @classmethod
    def read(cls, folder: Path) -> TrainingRun:
        """:class:`ZooError` says why the run cannot be published."""
        history = History.read(folder / "history.json")
        command = history.command
        if command is None:
            raise ZooError(f"{folder} does not say how it was trained: train it with python -m zoo train --out")
        if history.stopped not in ("finished", "target"):
            raise ZooError(f"{folder} holds a run that did not finish: it was {history.stopped}")
        if command.test is None or command.test.images != TEST_IMAGES:
            raise ZooError(f"{folder} was not tested on MNIST's {TEST_IMAGES:,} test images")
        if command.sha256 is None:
            raise ZooError(f"{folder} does not say which weights it ended with: its history lacks their SHA-256")
        return cls(folder, history, command, command.test, command.sha256)

    @property
    def seed(self) -> int:
        """That of its recipe, which tells it from other runs of the same settings."""
        return self.history.recipe.seed

    @property
    def validation_accuracy(self) -> float | None:
        """After the last epoch, from 0 to 1; None where no images were held out."""
        return self.history.records[-1].validation_accuracy

    @property
    def params(self) -> Path:
        """The file of its final weights."""
        return self.folder / "final.params"

    def network(self) -> mx.gluon.HybridBlock:
        """A new network with its final weights; :class:`zoo.errors.WeightsError` where they are not those it wrote."""
        net = models.get_model(self.command.model)
        weights.load_parameters(net, self.params, self.sha256)
        return net


def together(runs: Sequence[TrainingRun]) -> None:
    """Refuse runs that are not the same but for their seeds."""
    first = runs[0]
    for run in runs[1:]:
        for name in _ALIKE:
            ours, theirs = (getattr(each.command, name) for each in (first, run))
            if ours != theirs:
                raise ZooError(f"{first.folder} and {run.folder} do not belong together: {name} is {ours} and {theirs}")
        if replace(run.history.recipe, seed=first.seed) != first.history.recipe:
            raise ZooError(
                f"{first.folder} and {run.folder} do not belong together: "
                f"their settings are {first.history.recipe} and {run.history.recipe}"
            )
    seeds = [run.seed for run in runs]
    for run in runs:
        if seeds.count(run.seed) > 1:
            raise ZooError(f"the seed {run.seed} is there twice, in {run.folder} for one: each counts once")


def chosen(runs: Sequence[TrainingRun]) -> TrainingRun:
    """The best on held-out images, or else the lowest seed: the test images have no say in it."""
    return min(runs, key=lambda run: (-(run.validation_accuracy or 0.0), run.seed))


def measured(runs: Sequence[TrainingRun], test: Dataset) -> Pretrained:
    """The entry for the chosen one of ``runs``, everything tested once more here."""
    best = chosen(runs)
    seeds = {}
    for run in sorted(runs, key=lambda run: run.seed):
        errors = training.evaluate(run.network(), test).errors
        recorded = run.test.errors
        if abs(errors - recorded) > _TOLERANCE:
            raise ZooError(f"{run.folder} makes {errors} errors on the test images, and its history says {recorded}")
        seeds[str(run.seed)] = errors
    return described(best, best.network(), test, seeds)


def described(run: TrainingRun, net: mx.gluon.HybridBlock, test: Dataset, seeds: Mapping[str, int]) -> Pretrained:
    """The entry for ``net``, the network of ``run``, whose test errors by seed are ``seeds``."""
    command = run.command
    return Pretrained(
        sha256=run.sha256,
        bytes=run.params.stat().st_size,
        recipe=command.recipe,
        settings=run.history.recipe,
        command=_without_out(command.line),
        date=command.date,
        machine=command.machine,
        software=command.software,
        revision=command.revision,
        training_images=command.training_images,
        validation_images=command.validation_images,
        seconds=round(run.history.seconds, 1),
        validation_accuracy=run.validation_accuracy,
        errors=seeds[str(run.seed)],
        seeds=dict(seeds),
        corruptions={name: training.evaluate(net, corrupt(test, name)).errors for name in CORRUPTIONS},
    )


def publish(runs: Sequence[TrainingRun], test: Dataset, folder: Path) -> Pretrained:
    """Test ``runs`` once more, and write the chosen one's weights and its entry into ``folder``, both or none."""
    together(runs)
    entry = measured(runs, test)
    write(runs[0].command.model, entry, chosen(runs).params.read_bytes(), folder)
    return entry


def write(name: str, entry: Pretrained, content: bytes, folder: Path) -> None:
    """Put the weights ``content`` of the model ``name`` and their ``entry`` into ``folder``, both or none."""
    known = manifest.read(folder) if (folder / "manifest.json").exists() else {}
    contents = {
        manifest.params(folder, name): content,
        folder / "manifest.json": manifest.encode({**known, name: entry}),
    }
    for path in contents:
        files.output_file(path)
    files.write_together(contents)


def _without_out(line: str) -> str:
    """The command without ``--out``, which is about one disk."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out")
    return shlex.join(parser.parse_known_args(shlex.split(line))[1])
