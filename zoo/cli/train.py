"""The command ``python -m zoo train``."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.options import add_images, add_model, augmentation, path
from zoo.errors import ZooError
from zoo.io import places
from zoo.models.architectures import MODELS
from zoo.progress import say
from zoo.recipes import OPTIMIZERS, SCHEDULES, Recipe
from zoo.recipes.named import RECIPES
from zoo.runtime.dtypes import DTYPES

_HOLDOUT = 5000  # training images, from the end
_PLACES = ("ctx", "data", "validation", "test", "resume")  # where things are, which may have changed

if TYPE_CHECKING:
    from zoo import models, training
    from zoo.data import Dataset
    from zoo.runtime import mx
    from zoo.training.history import History


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_model(parser, required=False)
    add_images(parser)
    parser.add_argument("--recipe", metavar="NAME", help=f"{', '.join(RECIPES)} (default: the model's own)")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--optimizer", help=", ".join(OPTIMIZERS))
    parser.add_argument("--lr", type=float, dest="learning_rate", help="learning rate")
    parser.add_argument("--momentum", type=float)
    parser.add_argument("--wd", type=float, dest="weight_decay", help="weight decay")
    parser.add_argument("--schedule", help=f"of the learning rate: {', '.join(SCHEDULES)}")
    parser.add_argument("--warmup", type=float, metavar="SHARE", help="of all batches, while the learning rate rises")
    parser.add_argument("--label-smoothing", type=float, metavar="SHARE", help="of labels, spread over all classes")
    parser.add_argument("--ema", type=float, metavar="DECAY", help="per batch, of a moving average of the weights")
    parser.add_argument(
        "--augment", type=augmentation, dest="augmentation", metavar="WHAT",
        help="as in shift=2,rotation=15,scale=0.1,shear=0.1,elastic=1 (pixels, degrees, shares), or none",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, help="of initial weights, shuffling, Dropout and augmentation (default: 0)")
    parser.add_argument(
        "--dtype", choices=("auto", *DTYPES),
        help="to compute in (default: auto, the faster dtype here); bfloat16 on CPUs, float16 on GPUs",
    )  # fmt: skip
    parser.add_argument("--stop-at", type=float, metavar="ACCURACY", help="end once validation accuracy reaches this")
    parser.add_argument(
        "--keep-from", type=float, metavar="ACCURACY", help="keep the best weights from this accuracy on"
    )
    parser.add_argument(
        "--holdout", type=int, metavar="N",
        help="validate on the last N training images (default: 5000); 0 trains on all of them",
    )  # fmt: skip
    parser.add_argument("--validation", metavar="rec:FILE", help="validate on a .rec file instead")
    parser.add_argument(
        "--test", metavar="rec:FILE",
        help="test on a .rec file; needed to test after --data rec:FILE, which has no test images",
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="DIR", type=path, help="where to write best.params, final.params and history.json"
    )
    parser.add_argument(
        "--resume", metavar="DIR", type=path,
        help="go on with the run in DIR, which was killed or interrupted, as it began; its data may be named anew",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Train, write what ``--out`` asks for, and test once, after the final epoch."""
    from zoo import models, training
    from zoo.graph.execution import Execution
    from zoo.models import weights
    from zoo.runtime import contexts, provenance
    from zoo.training import run_folder
    from zoo.training.history import Command, Score

    resumed = None
    if arguments.resume is not None:
        arguments, resumed = _resumed(arguments)
    elif arguments.model is None:
        raise ZooError("name a model to train, from python -m zoo list, or a run to go on with: --resume DIR")
    recipe = resumed.recipe if resumed is not None else _recipe(arguments)
    ctx = contexts.check(arguments.ctx)
    train, validation, test = _images(arguments)
    net = models.get_model(arguments.model, ctx=ctx, seed=recipe.seed)
    execution = Execution.of(net, ctx, recipe.dtype)
    recipe = replace(recipe, dtype=execution.dtype)
    _announce(models.get_card(arguments.model), recipe, ctx, train, validation)
    if resumed is not None:
        complete = f"{len(resumed.records)} of {recipe.epochs} epochs complete"
        print(f"going on with the run in {arguments.out}: {complete}", flush=True)

    command = Command(
        line=shlex.join(map(places.argument, shlex.split(arguments.command_line))),
        date=provenance.now(),
        model=arguments.model,
        recipe=_recipe_name(recipe),
        machine=provenance.machine(ctx),
        software=provenance.software(),
        revision=provenance.revision(),
        training_images=len(train),
        validation_images=len(validation or ()),
        arguments=_lasting(arguments),
    )

    def show(record: training.EpochRecord) -> None:
        say(f"{record}, {len(train) / record.seconds:,.0f} img/s, {record.seconds:.1f} s")

    start = time.perf_counter()
    try:
        history = training.fit(
            net, train, validation, recipe, execution, arguments.out,
            on_epoch=show, resume=resumed is not None, command=command,
        )  # fmt: skip
    except training.TrainingInterrupted as interrupted:
        print(_kept(interrupted.history, arguments.out), flush=True)
        raise
    command = history.command or command  # of a run that goes on: the one that began it
    if history.stopped == "target":
        print(f"stopped: validation reached {recipe.stop_at:.2%}")
    seconds = time.perf_counter() - start
    command = replace(command, sha256=weights.parameter_hash(net))
    print(f"{_kept(history, arguments.out)}\nweights: SHA-256 {command.sha256}", flush=True)
    if test is None:
        print("not tested: --test rec:FILE names images to test with")
    else:
        start = time.perf_counter()
        try:
            tested = training.evaluate(net, test)
        except KeyboardInterrupt:
            if arguments.out is not None:
                print(f"not tested: {run_folder.resumption(history, arguments.out)} does that", flush=True)
            raise
        seconds += time.perf_counter() - start
        command = replace(command, test=Score.of(tested))
        begin = "the start of training" if resumed is None else "going on"
        print(f"test, at the final epoch: {tested}\ntime: {seconds:.1f} s from {begin} to this score")
    if arguments.out is not None:
        run_folder.complete(arguments.out, replace(history, command=command))
    return 0


def _images(arguments: argparse.Namespace) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """The images to train, to validate and to test on."""
    from zoo.data.named import load_images, load_rec

    train, test = load_images(arguments.data, arguments.pixels)
    test = load_rec(arguments.test, arguments.pixels) if arguments.test else test
    if arguments.validation is None:
        return (*_split(train, _HOLDOUT if arguments.holdout is None else arguments.holdout), test)
    if arguments.holdout is None:
        return train, load_rec(arguments.validation, arguments.pixels), test
    raise ZooError("validate either on held out images (--holdout) or on a .rec file (--validation)")


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """The model's recipe, or the one named, with the changes that were given."""
    given = {field.name: getattr(arguments, field.name) for field in fields(Recipe)}
    changes = {name: value for name, value in given.items() if value is not None}
    recipe = MODELS[arguments.model].recipe if arguments.recipe is None else RECIPES[arguments.recipe]
    if changes.get("optimizer", recipe.optimizer) != recipe.optimizer:
        changes.setdefault("momentum", 0.0)  # the recipe's momentum is meant for its own optimizer
    return replace(recipe, **changes)


def _resumed(arguments: argparse.Namespace) -> tuple[argparse.Namespace, History]:
    """The options of the run in ``--resume``, with the places given anew, and its history."""
    from zoo.training.checkpoint import Checkpoint
    from zoo.training.history import History
    from zoo.training.run_folder import CHECKPOINT, HISTORY

    folder = arguments.resume
    if not (folder / CHECKPOINT).exists():
        if not (folder / HISTORY).exists():
            raise ZooError(f"{folder} holds no run to go on with: python -m zoo train MODEL --out {folder} begins one")
        if History.read(folder / HISTORY).stopped in ("finished", "target"):
            raise ZooError(f"the run in {folder} is complete: there is nothing to go on with")
        raise ZooError(f"the run in {folder} cannot go on: there is no {CHECKPOINT}")
    history = Checkpoint.read(folder / CHECKPOINT)[0].history
    if history.command is None:
        raise ZooError(f"the run in {folder} was begun in Python: zoo.fit(…, resume=True) goes on with it")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    began = parser.parse_args([os.fsdecode(word.encode("latin-1")) for word in history.command.arguments])
    for action in parser._actions:
        if action.option_strings:
            action.default = argparse.SUPPRESS  # what was not given is not there
    given = vars(parser.parse_args(_words(arguments.command_line)))
    known = {**vars(began), **vars(history.recipe), "recipe": history.command.recipe}
    if began.holdout is None and began.validation is None:
        known["holdout"] = _HOLDOUT
    for name, value in given.items():
        if name in _PLACES:
            setattr(began, name, value)
        elif name == "out" and value.exists() and value.samefile(folder):
            continue
        elif value not in (None, known[name]) and (name, value) != ("dtype", "auto"):
            raise ZooError(
                f"the run in {folder} has {name.replace('_', ' ')} {known[name]}, not {value}, and goes on as it began"
            )
    began.out, began.command_line = folder, arguments.command_line
    return began, history


def _words(command_line: str) -> list[str]:
    """The arguments in a command line."""
    return shlex.split(command_line)[len("python -m zoo train".split()) :]


def _lasting(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The arguments, to be parsed again in any directory; their bytes as Latin-1, as names need not be text."""
    words = _words(arguments.command_line)
    for name in ("data", "validation", "test"):
        value = getattr(arguments, name)
        if value not in (None, "synthetic"):
            kind, path = ("rec:", value[4:]) if value.startswith("rec:") else ("", value)
            words += [f"--{name}", kind + os.path.abspath(path)]  # noqa: PTH100  path may end in options
    return tuple(os.fsencode(word).decode("latin-1") for word in words)


def _split(train: Dataset, holdout: int) -> tuple[Dataset, Dataset | None]:
    if not 0 <= holdout < len(train):
        raise ZooError(f"--holdout must be at least 0 and below {len(train)}, not {holdout}")
    split = len(train) - holdout
    return train[:split], train[split:] if holdout else None


def _recipe_name(recipe: Recipe) -> str | None:
    """The name of ``recipe`` if it has one, ignoring the seed and the dtype, which belong to the run."""
    run = partial(replace, seed=recipe.seed, dtype=recipe.dtype)
    return next((name for name in RECIPES if run(RECIPES[name]) == recipe), None)


def _announce(
    card: models.Card, recipe: Recipe, ctx: list[mx.Context], train: Dataset, validation: Dataset | None
) -> None:
    from zoo.runtime import STATUS

    source, validated = train.source, "0 held out for validation"
    if validation is not None:
        held_out = validation.source == train.source
        validated = f"{len(validation):,} {'held out for validation' if held_out else 'to validate on'}"
        source += "" if held_out else f" and {validation.source}"
    print(
        f"{card.name}: {card.parameters:,} parameters, {card.flops / 1e6:.1f} MFLOP per image, "
        f"on {', '.join(map(str, ctx))} with {STATUS.threads} CPU threads\n"
        f"data: {len(train):,} images to train on, {validated}, from {source}\n"
        f"recipe: {recipe}",
        flush=True,
    )


def _kept(history: training.History, out: Path | None) -> str:
    from zoo.training.run_folder import HISTORY, resumption

    if out is None:
        return "nothing written: --out DIR keeps the weights"
    names = [f"best.params (epoch {history.best_epoch})"] if history.best_epoch is not None else []
    names += ["final.params"] if history.stopped != "interrupted" else []
    written = f"written to {out}: {', '.join([*names, HISTORY])}" if history.records else "no epoch is complete yet"
    return f"{written}; {resumption(history, out)} goes on" if history.stopped == "interrupted" else written
