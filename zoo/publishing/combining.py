"""Combine training runs into the weights of the ensemble whose members they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo import models, training
from zoo.data import MNIST
from zoo.errors import ZooError
from zoo.io import files
from zoo.models import params, weights
from zoo.models.architectures import ensemble
from zoo.models.pretrained.manifest import Pretrained
from zoo.publishing.entries import TrainingRun, described, together, write

NAME = "ensemble"


def combine(runs: Sequence[TrainingRun], mnist: MNIST, folder: Path) -> Pretrained:
    """Write the ensemble of ``runs``, ordered by seed, and its entry to ``folder``; returns the entry."""
    together(runs)
    runs = sorted(runs, key=lambda run: run.seed)
    given = tuple(run.command.model for run in runs)
    if given != ensemble.MEMBERS:
        raise ZooError(f"{NAME} is made of {', '.join(ensemble.MEMBERS)}, and these runs are of {', '.join(given)}")
    net = models.get_model(NAME)
    weights.restore(net, {
        f"{kind}:member{number}_{name}": array
        for number, run in enumerate(runs, start=1)
        for kind, name, array in _parameters(run)
    })  # fmt: skip
    content = params.encode(weights.state(net))
    first, held_out = runs[0], runs[0].command.validation_images
    errors = training.evaluate(net, mnist.test).errors
    entry = replace(
        described(first, net, mnist.test, {str(first.seed): errors}),
        sha256=files.hexdigest(content),
        bytes=len(content),
        command=f"python -m zoo.publishing.add --ensemble RUNDIR…, of {first.command.model} by its recipe "
        f"{first.command.recipe} with the seeds {', '.join(str(run.seed) for run in runs)}",
        seconds=round(sum(run.history.seconds for run in runs), 1),
        validation_accuracy=training.evaluate(net, mnist.train[-held_out:]).accuracy if held_out else None,
    )
    write(NAME, entry, content, folder)
    return entry


def _parameters(run: TrainingRun) -> list[tuple[str, str, np.ndarray]]:
    """Return kind, name and values of each parameter, after checking that the file is the one that the run wrote."""
    state = weights.state(run.network())
    split = [(name.partition(":"), array) for name, array in state.items()]
    return [(kind, name, array) for (kind, _, name), array in split]
