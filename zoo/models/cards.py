"""The card of a model: everything known about it and its pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass

from tabulate import tabulate

from zoo.graph.cost import Layer
from zoo.models.pretrained.manifest import Pretrained, accuracy
from zoo.recipes import Recipe


@dataclass(frozen=True)
class Card:
    """The facts about a model, computed from its graph or stated with their source; as text, one line per fact."""

    name: str
    kind: str  # "symbol" or "gluon"
    summary: str
    source: str
    recipe: Recipe
    parameters: int  # trainable
    flops: int  # forward, per image, two per multiply-accumulate of convolutions and dense layers
    training_flops: int  # forward and backward: three times that, less the gradient of the input, which is not needed
    layers: tuple[Layer, ...]
    dataset: str = "MNIST"
    licence: str = "Apache-2.0"
    pretrained: Pretrained | None = None  # None if there are no pretrained weights

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the file of pretrained weights, None if there is none."""
        return self.pretrained.sha256 if self.pretrained else None

    @property
    def metrics(self) -> dict[str, float]:
        """Test accuracies of the pretrained weights, 0 to 1, "clean" and by corruption; empty if there are none."""
        return self.pretrained.accuracies if self.pretrained else {}

    def __str__(self) -> str:
        facts = {
            "model": f"{self.name}: {self.summary}",
            "source": self.source,
            "built with": self.kind,
            "parameters": f"{self.parameters:,}",
            "FLOPs": f"{self.flops:,} per image forward, {self.training_flops:,} in training",
            "data": self.dataset,
            "recipe": self.recipe,
            "licence": self.licence,
            **(_facts(self.pretrained) if self.pretrained else {"pretrained": "no"}),
        }
        return tabulate(facts.items(), tablefmt="plain", disable_numparse=True)


def duration(seconds: float) -> str:
    """Format a time span for people: 16 s, 3.4 min, 1.2 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _facts(weights: Pretrained) -> dict[str, str]:
    held_out = f"{weights.validation_images:,} held out" if weights.validation_images else "none held out"
    if weights.validation_accuracy is not None:
        held_out += f", accuracy on them {weights.validation_accuracy:.2%}"
    seeds = ", ".join(f"{accuracy(errors):.2%} (seed {seed})" for seed, errors in weights.seeds.items())
    return {
        "pretrained": f"{weights.bytes:,} bytes, SHA-256 {weights.sha256}, {weights.licence}",
        "command": weights.command,
        "settings": f"{weights.recipe or 'given by hand'}: {weights.settings}",
        "images": f"{weights.training_images:,} to train on, {held_out}",
        "trained in": f"{duration(weights.seconds)} on {weights.machine}, {weights.date}",
        "software": f"{weights.software}, revision {weights.revision or 'unknown'}",
        "over seeds": f"{weights.over_seeds}: {seeds}",
        "test accuracy": f"{weights.accuracy:.2%}, {weights.errors:,} errors",
        **{name: f"{accuracy(errors):.2%}, {errors:,} errors" for name, errors in weights.corruptions.items()},
    }
