"""The two published experiments that this project started from, run with its own training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.cli.plots import Curve
from zoo.data import MNIST, Dataset
from zoo.data.packing import pack
from zoo.data.records import load_records
from zoo.errors import DivergenceError
from zoo.models.architectures import MODELS
from zoo.models.lookup import get_model
from zoo.recipes import Recipe
from zoo.runtime import mx
from zoo.training import EpochRecord, fit


@dataclass(frozen=True)
class PublishedCurves:
    """Accuracies per epoch, as far as the source shows them."""

    train: tuple[float, ...]
    validation: tuple[float, ...]


@dataclass(frozen=True)
class Reproduction:
    """One run of an experiment, with the published figures."""

    name: str
    group: str  # shared by runs that belong together
    records: tuple[EpochRecord, ...]
    published: PublishedCurves = PublishedCurves((), ())
    remark: str = ""

    @property
    def validation(self) -> tuple[float | None, ...]:
        """Validation accuracies per epoch; None for an epoch without validation."""
        return tuple(record.validation_accuracy for record in self.records)


# The notebook on RecordIO and Module, whose output is cut off within the eighth epoch of each run.
NOTEBOOK = {
    0.1: PublishedCurves((0.110820, 0.112354, *[0.112196] * 6), (0.105476,) * 7),
    0.01: PublishedCurves(
        (0.413598, 0.579630, 0.550926, 0.632063, 0.648598, 0.604286, 0.634603, 0.676085),
        (0.556667, 0.630714, 0.614048, 0.647381, 0.616429, 0.620238, 0.667143),
    ),
    0.001: PublishedCurves(
        (0.730556, 0.833360, 0.868730, 0.890000, 0.903862, 0.914180, 0.920794, 0.926905),
        (0.804762, 0.842857, 0.873095, 0.882143, 0.889524, 0.893333, 0.900476),
    ),
}
NOTEBOOK_EPOCHS = {0.1: 10, 0.01: 10, 0.001: 25}
NOTEBOOK_IMAGES = 42_000

# The report on the CNN, hypothesis 7; the 13 epochs that it prints.
REPORT = PublishedCurves(
    (0.9499, 0.9821, 0.9861, 0.9878, 0.9899, 0.9908, 0.9914, 0.9921, 0.9928, 0.9937, 0.9935, 0.9941, 0.9948),
    (0.9753, 0.9747, 0.9880, 0.9867, 0.9884, 0.9894, 0.9916, 0.9901, 0.9909, 0.9902, 0.9909, 0.9903, 0.9924),
)


def mlp_learning_rates(
    images: Dataset,
    folder: Path,
    epochs: int | None = None,
    seed: int = 0,
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
) -> Iterator[Reproduction]:
    """Train with the notebook's three learning rates on raw pixels, then on pixels scaled to [0, 1].

    ``images`` are packed as JPGs into ``.rec`` files in ``folder``, 90% for training and 10% for validation.
    ``epochs`` is an upper limit on the notebook's 10, 10 and 25.
    """
    pack(folder / "mnist", images, train_ratio=0.9, test_ratio=0.1)
    train, validation = (load_records(folder / f"mnist_{part}.rec") for part in ("train", "test"))
    for group, raw in (("pixels from 0 to 255", True), ("pixels scaled to 0 to 1", False)):
        for rate, published in NOTEBOOK.items():
            recipe = Recipe(
                epochs=min(NOTEBOOK_EPOCHS[rate], epochs or NOTEBOOK_EPOCHS[rate]),
                batch_size=100, learning_rate=rate, seed=seed, dtype="float32",
            )  # fmt: skip
            net = get_model("mlp", ctx=ctx, seed=seed)
            data = (train.raw(), validation.raw()) if raw else (train, validation)
            records: list[EpochRecord] = []
            remark = ""
            try:
                fit(net, *data, recipe, on_epoch=records.append)
            except DivergenceError as error:
                remark = str(error)
            yield Reproduction(
                f"learning rate {rate:g}", group, tuple(records), published if raw else PublishedCurves((), ()), remark
            )


def cnn7(
    mnist: MNIST,
    epochs: int,
    seed: int = 0,
    ctx: mx.Context | Sequence[mx.Context] | str | None = None,
    out: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> Reproduction:
    """Repeat the report's training: batch size 200, SGD with learning rate 0.1.

    ``out`` keeps the best weights from 99.3% validation accuracy on. As in the report, validation uses the test images.
    """
    recipe = replace(MODELS["cnn7"].recipe, epochs=epochs, seed=seed)
    net = get_model("cnn7", ctx=ctx, seed=seed)
    history = fit(net, mnist.train, mnist.test, recipe, out=out, on_epoch=on_epoch)
    return Reproduction("cnn7", "cnn7, batch 200, SGD with learning rate 0.1", history.records, REPORT)


def panels(runs: Sequence[Reproduction]) -> list[tuple[str, list[Curve]]]:
    """The validation accuracies of ``runs`` for :func:`zoo.cli.plots.curves`, one panel per group."""
    groups: dict[str, list[Curve]] = {}
    for run in runs:
        lines = groups.setdefault(run.group, [])
        style = len({line.style for line in lines})
        lines.append(Curve(f"{run.name}, measured", run.validation, style))
        if run.published.validation:
            lines.append(Curve(f"{run.name}, published", run.published.validation, style, published=True))
    return list(groups.items())
