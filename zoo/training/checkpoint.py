"""Checkpoints: all that a run needs to go on where it was killed, in one file."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph.execution import Execution
from zoo.graph.ir import Graph, symbol_of
from zoo.io import schema
from zoo.models import weights
from zoo.runtime import STATUS, cpus, isa, mx, provenance
from zoo.training.history import History
from zoo.training.session import Position, Totals

_PLACE = ("processor", "software", "threads", "execution")  # what may change, at the price of other bits
_FACTS = "facts"  # the array that holds a checkpoint as JSON


@dataclass(frozen=True)
class Origin:
    """What a run was made from, and where. All of it the same gives the same weights, bit for bit."""

    network: str  # SHA-256 of its operators and of its parameters' shapes, whatever their names
    training: str  # SHA-256 of the images, the labels and the scale of the pixels
    validation: str | None
    processor: str  # and its instructions in use
    software: str
    threads: str
    execution: str  # dtype, contexts, kernels

    @classmethod
    def of(cls, net: mx.gluon.HybridBlock, train: Dataset, validation: Dataset | None, execution: Execution) -> Origin:
        """Describe a run that is about to begin here."""
        return cls(
            network=_hash_of_network(net),
            training=_hash_of_images(train),
            validation=_hash_of_images(validation) if validation is not None else None,
            processor=" ".join((cpus.model_name(), *sorted(isa.flags()))),
            software=provenance.software(),
            threads=f"{STATUS.threads} CPU threads",
            execution=str(execution),
        )


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run, except for its arrays."""

    origin: Origin
    history: History  # of the complete epochs
    position: Position
    totals: Totals  # of the epoch under way
    held_epoch: int | None = None  # the one with the best weights so far
    held_accuracy: float = -1.0

    @property
    def has_progress(self) -> bool:
        """Whether anything has been trained that would be lost."""
        return self.position.epochs + self.position.batches > 0

    def write(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the checkpoint with its ``arrays`` to ``path`` atomically."""
        facts = np.frombuffer(json.dumps(asdict(self), allow_nan=False).encode(), np.uint8)
        weights.save_state({**arrays, _FACTS: facts}, path)

    @classmethod
    def read(cls, path: Path) -> tuple[Checkpoint, dict[str, np.ndarray]]:
        """Read what :meth:`write` wrote; raises :class:`ZooError` if it is damaged."""
        try:
            arrays = weights.read(path)
        except ZooError as error:
            raise ZooError(f"{error}; nothing can go on from it: to begin again, name another directory") from None
        if _FACTS not in arrays:
            raise ZooError(f"{path} is no checkpoint of a training run")
        return schema.build(cls, schema.parse(arrays.pop(_FACTS).tobytes(), str(path)), str(path)), arrays

    def check(self, origin: Origin, begun: History, folder: Path) -> None:
        """Raise :class:`ZooError` unless the run that is about to begin is this one; warn if its weights may differ."""
        check_recipe(self.history, begun, folder)
        for name, what in (("network", "network"), ("training", "training data"), ("validation", "validation data")):
            if getattr(self.origin, name) != getattr(origin, name):
                raise ZooError(f"the run in {folder} began with a different {what}, and cannot go on with this one")
        changed = [
            f"{name} ({was}) than now ({now})" if name != "processor" else "processor than now"
            for name in _PLACE
            if (was := getattr(self.origin, name)) != (now := getattr(origin, name))
        ]
        if changed:
            warnings.warn(
                f"the run in {folder} began with another {' and another '.join(changed)}: its weights will be as good, "
                "but not the same bits as those of a run that was never stopped",
                RuntimeWarning,
                stacklevel=4,
            )


def check_recipe(found: History, begun: History, folder: Path) -> None:
    """Raise :class:`ZooError`, which names every difference, if the run ``found`` has another recipe than ``begun``."""
    differences = [
        f"{field.name} {_shown(was)}, not {_shown(now)}"
        for field in fields(found.recipe)
        if (was := getattr(found.recipe, field.name)) != (now := getattr(begun.recipe, field.name))
    ]
    if differences:
        raise ZooError(f"the run in {folder} cannot go on with another recipe: it has {'; '.join(differences)}")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _hash_of_images(dataset: Dataset) -> str:
    digest = hashlib.sha256(repr(dataset.scale).encode())
    for array in (dataset.images, dataset.labels):
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _hash_of_network(net: mx.gluon.HybridBlock) -> str:
    graph = Graph.of(symbol_of(net))
    number: dict[int, int] = {}
    described = []
    for node in graph.nodes():
        number[id(node)] = len(number)
        attributes = {} if node.is_variable else node.attributes
        inputs = [(number[id(source)], output) for source, output in node.inputs]
        described.append((node.operator, sorted(attributes.items()), inputs, node.subgraphs))
    shapes = [(parameter.shape, str(parameter.dtype)) for parameter in net.collect_params().values()]
    return hashlib.sha256(repr((described, shapes)).encode()).hexdigest()
