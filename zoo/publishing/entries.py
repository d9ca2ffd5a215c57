"""Turn training runs into an entry of the manifest: several seeds, one of which is published."""

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
_TOLERANCE = 10  # errors by which a test on another machine, such as one with a GPU, may differ from one here


@dataclass(frozen=True)
class TrainingRun:
    """A directory written by ``python -m zoo train --out``."""

    folder: Path
    history: History
    command: Command  # from the history
    test: Score
    sha256: str  # of final.params

    @classmethod
    def read(cls, folder: Path) -> TrainingRun:
        """Read the run in ``folder``; :class:`ZooError` says why it cannot be published."""
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
        """The seed of its recipe, which distinguishes it from other runs with the same settings."""
        return self.history.recipe.seed

    @property
    def validation_accuracy(self) -> float | None:
        """Validation accuracy after the last epoch, from 0 to 1; None if no images were held out."""
        return self.history.records[-1].validation_accuracy

    @property
    def params(self) -> Path:
        """The path of its final weights."""
        return self.folder / "final.params"

    def network(self) -> mx.gluon.HybridBlock:
        """Build a network with its final weights; :class:`zoo.errors.WeightsError` if the file has changed since."""
        net = models.get_model(self.command.model)
        weights.load_parameters(net, self.params, self.sha256)
        return net


def together(runs: Sequence[TrainingRun]) -> None:
    """Refuse runs that differ in more than their seeds, and seeds that occur twice."""
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
            raise ZooError(f"seed {run.seed} occurs more than once (for example in {run.folder}): use each seed once")


def chosen(runs: Sequence[TrainingRun]) -> TrainingRun:
    """Choose the best run on held-out images, or else the lowest seed; the test images have no say."""
    return min(runs, key=lambda run: (-(run.validation_accuracy or 0.0), run.seed))


def measured(runs: Sequence[TrainingRun], test: Dataset) -> Pretrained:
    """Return the entry of the chosen run, after testing all ``runs`` again here."""
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
    """Return the entry of ``net``, the network of ``run``; ``seeds`` are test errors by seed."""
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
    """Test ``runs`` again, and write the chosen run's weights and entry to ``folder``, both or neither."""
    together(runs)
    entry = measured(runs, test)
    write(runs[0].command.model, entry, files.read(chosen(runs).params), folder)
    return entry


def write(name: str, entry: Pretrained, content: bytes, folder: Path) -> None:
    """Write the weights ``content`` of the model ``name`` and their ``entry`` to ``folder``, both or neither."""
    known = manifest.read(folder) if (folder / "manifest.json").exists() else {}
    contents = {
        manifest.params(folder, name): content,
        folder / "manifest.json": manifest.encode({**known, name: entry}),
    }
    for path in contents:
        files.output_file(path)
    files.write_together(contents)


def _without_out(line: str) -> str:
    """Return the command without ``--out``, whose path means nothing on other machines."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out")
    return shlex.join(parser.parse_known_args(shlex.split(line))[1])
