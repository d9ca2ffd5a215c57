"""``python -m zoo``: list, train, evaluate, fetch, doctor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace

from zoo.console import command_line


@command_line
def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    return arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zoo", description="MNIST model zoo for Apache MXNet")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        return added

    listing = command("list", _list, "list the models, or the layers of one")
    listing.add_argument("pattern", nargs="?", default="*", help="shell pattern, such as 'cnn7*'")
    listing.add_argument("--layers", action="store_true", help="show each model layer by layer")

    train = command("train", _train, "train a model with the settings of its source, or others")
    _add_model_and_data(train)
    train.add_argument("--epochs", type=int)
    train.add_argument("--batch-size", type=int)
    train.add_argument("--optimizer", help="sgd, nag, adam, or any other in MXNet's registry")
    train.add_argument("--lr", type=float, dest="learning_rate", help="learning rate")
    train.add_argument("--momentum", type=float)
    train.add_argument("--wd", type=float, dest="weight_decay", help="weight decay")
    train.add_argument("--seed", type=int, help="of initial weights, shuffling and Dropout (default: 0)")
    train.add_argument("--stop-at", type=float, metavar="ACCURACY", help="end once validation accuracy reaches this")
    train.add_argument("--keep-from", type=float, metavar="ACCURACY", help="keep the best weights from this accuracy on")
    train.add_argument("--holdout", type=int, default=5000, metavar="N",
                       help="validate on the last N training images (default: 5000); 0 trains on all of them")  # fmt: skip
    train.add_argument("--out", metavar="DIR", help="where to write best.params, final.params and history.json")

    evaluate = command("evaluate", _evaluate, "test a model: accuracy and confusion matrix")
    _add_model_and_data(evaluate)
    evaluate.add_argument("--params", metavar="FILE", required=True, help="its weights, as train --out writes them")
    evaluate.add_argument("--batch-size", type=int, default=500)

    fetch = command("fetch", _fetch, "get MNIST into the cache, or into a folder")
    fetch.add_argument("--out", metavar="DIR", help="a folder instead of the cache")

    command("doctor", _doctor, "show what was found on this machine and decided for it")
    return parser


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a name from python -m zoo list")
    parser.add_argument("--ctx", help="cpu, gpu(0), or several: gpu(0),gpu(1) (default: cpu)")
    add_data(parser)


def add_data(parser: argparse.ArgumentParser) -> None:
    """The option that every command which needs data takes; :func:`load_data` is its other half."""
    parser.add_argument("--data", metavar="DIR", help="folder with the four IDX files, or 'synthetic' (default: MNIST_DIR, or the cache)")


def load_data(name: str | None):
    from zoo.data import load_mnist, synthetic

    return synthetic() if name == "synthetic" else load_mnist(name)


def _list(arguments: argparse.Namespace) -> int:
    from tabulate import tabulate

    from zoo.architectures import MODELS
    from zoo.models import get_card, list_models

    names = list_models(arguments.pattern) or [MODELS[arguments.pattern].name]  # the latter says what there is
    cards = [get_card(name) for name in names]
    if arguments.layers:
        for card in cards:
            rows = [
                (layer.name, layer.operator, "×".join(map(str, layer.output_shape)), f"{layer.parameters:,}", f"{layer.flops / 1e6:.3f}")
                for layer in card.layers
            ]
            rows.append(("total", "", "", f"{card.parameters:,}", f"{card.flops / 1e6:.3f}"))
            print(f"{card.name}: {card.summary}\nfrom: {card.source}\n")
            print(tabulate(rows, ("layer", "operator", "output", "parameters", "MFLOP"), colalign=("left", "left", "left", "right", "right")), "\n")
    else:
        rows = [(card.name, f"{card.parameters:,}", f"{card.flops / 1e6:.1f}", card.kind, card.summary) for card in cards]
        print(tabulate(rows, ("model", "parameters", "MFLOP/image", "built with", "what"), colalign=("left", "right", "right")))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from zoo import contexts, models, training, weights
    from zoo.architectures import MODELS
    from zoo.errors import ZooError
    from zoo.recipes import Recipe
    from zoo.runtime import STATUS

    given = {field.name: getattr(arguments, field.name) for field in fields(Recipe)}
    recipe = replace(MODELS[arguments.model].recipe, **{name: value for name, value in given.items() if value is not None})
    ctx = contexts.check(arguments.ctx)
    mnist = load_data(arguments.data)
    if not 0 <= arguments.holdout < len(mnist.train):
        raise ZooError(f"--holdout must be at least 0 and below {len(mnist.train)}, not {arguments.holdout}")
    split = len(mnist.train) - arguments.holdout
    train, validation = mnist.train[:split], mnist.train[split:] if arguments.holdout else None
    net = models.get_model(arguments.model, ctx=ctx, seed=recipe.seed)
    card = models.get_card(arguments.model)
    print(f"{card.name}: {card.parameters:,} parameters, {card.flops / 1e6:.1f} MFLOP per image, "
          f"on {', '.join(map(str, ctx))} with {STATUS.threads} CPU threads")  # fmt: skip
    print(f"data: {len(train):,} images to train on, {arguments.holdout:,} held out for validation, from {mnist.source}")
    print(f"recipe: {recipe.optimizer}, learning rate {recipe.learning_rate:g}, batch {recipe.batch_size}, "
          f"{recipe.epochs} epochs, seed {recipe.seed}", flush=True)  # fmt: skip

    def show(record: training.EpochRecord) -> None:
        tqdm.write(f"{record}, {len(train) / record.seconds:,.0f} img/s, {record.seconds:.1f} s")

    try:
        history = training.fit(net, train, validation, recipe, ctx, arguments.out, on_epoch=show)
    except training.TrainingInterrupted as interrupted:
        _say_what_is_kept(interrupted.history, arguments.out)
        raise
    result = training.evaluate(net, mnist.test)
    print(f"test: {result.accuracy:.2%} at the final epoch, {result.errors:,} errors of {len(mnist.test):,}, loss {result.loss:.4f}")
    print(f"weights: SHA-256 {weights.parameter_hash(net)}")
    _say_what_is_kept(history, arguments.out)
    return 0


def _say_what_is_kept(history, out: str | None) -> None:
    kept = ["history.json"]
    if history.stopped != "interrupted":
        kept.insert(0, "final.params")
    if history.best_epoch is not None:
        kept.insert(0, f"best.params (epoch {history.best_epoch})")
    print(f"written to {out}: {', '.join(kept)}" if out else "nothing written: --out DIR keeps the weights", flush=True)


def _evaluate(arguments: argparse.Namespace) -> int:
    from tabulate import tabulate

    from zoo import contexts, models, training, weights

    ctx = contexts.check(arguments.ctx)
    net = models.get_model(arguments.model, ctx=ctx)
    digest = weights.load_parameters(net, arguments.params)
    mnist = load_data(arguments.data)
    result = training.evaluate(net, mnist.test, batch_size=arguments.batch_size)
    print(f"{arguments.model} with {arguments.params} (SHA-256 {digest})")
    print(f"test: {result.accuracy:.2%}, {result.errors:,} errors of {len(mnist.test):,}, loss {result.loss:.4f}, on {mnist.source}\n")
    rows = [(digit, *row) for digit, row in enumerate(result.confusion)]
    print("confusion matrix, a row for each digit, a column for each prediction")
    print(tabulate(rows, ("digit", *range(10))))
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from zoo.data import fetch

    folder = Path(arguments.out) if arguments.out else fetch.cache()
    fetch.ensure(folder)
    print(f"MNIST is in {folder}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from zoo import doctor

    return doctor.main()
