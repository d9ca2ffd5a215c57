"""``python -m export``: write a trained model as files for other programs, once they are verified."""

from __future__ import annotations

import argparse
import sys
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from export.onnx import DEFAULT_OPSET
from zoo.cli.options import add_data, add_params, load_network, model, path
from zoo.console import FAILURE
from zoo.errors import ZooError
from zoo.graph.cost import INPUT_SHAPE
from zoo.io import files

if TYPE_CHECKING:
    from export import verification
    from export.inference import InputShape
    from zoo.data import Dataset
    from zoo.runtime import mx

_ORDER = (".params", ".onnx", ".json")
_RANDOM_ITEMS = 50  # inputs for verifying a network that is not the zoo's
_CALIBRATION = slice(-5000, None, 10)  # of the training images: the last 5,000 are held out
_PREPROCESSING = {False: "pixels from 0 (background) to 255 (ink), divided by 255", True: "none: pixels from 0 to 255"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options for the network, its weights and the files to write."""
    parser.add_argument("model", nargs="?", type=model, help="a name from python -m zoo list")
    parser.add_argument("--symbol", metavar="FILE", type=path, help="instead of a name: any network's -symbol.json")
    add_params(parser)
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="where to write")
    parser.add_argument(
        "--format", choices=("symbol", "onnx", "both"),
        help="MXNet's -symbol.json and .params, ONNX, or both (default: both; with --symbol, onnx)",
    )  # fmt: skip
    parser.add_argument("--epoch", type=int, default=0, help="number in the name of the .params file (default: 0)")
    onnx = parser.add_argument_group("ONNX")
    onnx.add_argument("--softmax", action="store_true", help="output probabilities")
    onnx.add_argument("--uint8", action="store_true", help="accept uint8 pixels from 0 to 255")
    onnx.add_argument("--int8", action="store_true", help="compute with 8-bit integers; writes MODEL-int8.onnx")
    onnx.add_argument("--opset", type=int, default=DEFAULT_OPSET, help="13 to 21 (default: 17)")
    onnx.add_argument("--batch", type=int, metavar="N", help="fix the batch size (default: left open)")
    onnx.add_argument(
        "--input-shape", metavar="C,H,W", type=_shape, default=INPUT_SHAPE,
        help="shape of one input, with --symbol (default: 1,28,28)",
    )  # fmt: skip
    onnx.add_argument(
        "--input", metavar="NAME:SHAPE", type=_named_shape, action="append", default=[],
        help="name and shape of one of several inputs, with --symbol; in their order",
    )  # fmt: skip
    onnx.add_argument("--outputs", metavar="NAME", nargs="+", help="names of the outputs")
    onnx.add_argument(
        "--seconds", type=float, default=60, help="verification time limit per runtime, in seconds (default: 60)"
    )
    add_data(onnx)


def run(arguments: argparse.Namespace) -> int:
    """Write the requested files, all or none; returns 1 if a runtime computes something else."""
    if (arguments.model is None) == (arguments.symbol is None):
        raise ZooError("name a model of the zoo, or a file with --symbol: one of the two")
    if arguments.symbol is not None and arguments.params is None:
        if arguments.symbol.suffix == ".onnx":
            raise ZooError(f"{arguments.symbol} is an ONNX file, and no symbol of MXNet's: there is nothing to export")
        raise ZooError(f"{arguments.symbol} has no weights in it: name their file with --params")
    if arguments.int8 and arguments.symbol is not None:
        raise ZooError(
            "--int8 finds the ranges of the integers with images of MNIST: for a network from --symbol, call "
            "export.to_onnx(net, path, int8=items) in Python"
        )
    if arguments.int8 and arguments.format == "symbol":
        raise ZooError("--int8 is for ONNX files, and --format symbol writes none")
    from export import symbol

    formats = _formats(arguments)
    net, name = _network(arguments)
    contents: dict[Path, bytes] = {}
    if "symbol" in formats:
        paths = symbol.names(arguments.out / name, arguments.epoch)
        contents.update(zip(paths, symbol.encode(net, epoch=arguments.epoch)))
        print("MXNet reads the symbol and its parameters back and computes the same", flush=True)
    if "onnx" in formats:
        target = arguments.out / f"{name}{'-int8' * arguments.int8}.onnx"
        contents[target], verified = _verified_onnx(net, arguments)
        print(f"{verified}\n", flush=True)
        if verified.failures:
            print(f"error: {', '.join(verified.failures)}: nothing was written", file=sys.stderr)
            return FAILURE
    for target in contents:
        files.output_file(target)
    # The last is renamed first: a new symbol beside old parameters tells load_symbol that the others may be old too.
    order = sorted(contents, key=lambda target: _ORDER.index(target.suffix))
    files.write_together({target: contents[target] for target in order})
    for target, content in contents.items():
        print(f"{target}: {len(content):,} bytes, SHA-256 {files.hexdigest(content)}")
    return 0


def _shape(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no shape such as 1,28,28")
    return tuple(map(int, parts))


def _named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, colon, shape = text.rpartition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no name and shape such as data:1,28,28")
    return name, _shape(shape)


def _formats(arguments: argparse.Namespace) -> tuple[str, ...]:
    if arguments.symbol is not None:
        if arguments.format not in (None, "onnx"):
            raise ZooError(f"{arguments.symbol} is in MXNet's format already: with --symbol, ONNX is what is written")
        return ("onnx",)
    if arguments.format is None and util.find_spec("onnx") is None:
        print("note: no ONNX file is written without the package onnx: pip install '.[onnx]'", file=sys.stderr)
        return ("symbol",)
    return ("symbol", "onnx") if arguments.format in (None, "both") else (arguments.format,)


def _network(arguments: argparse.Namespace) -> tuple[mx.gluon.HybridBlock, str]:
    if arguments.symbol is not None:
        from export.loading import load_symbol

        net = load_symbol(arguments.symbol, arguments.params, input_shape=_input_shape(arguments))
        return net, arguments.symbol.name.replace("-symbol.json", "").replace(".json", "")
    if _input_shape(arguments) != INPUT_SHAPE:
        raise ZooError("the models of the zoo take (1, 28, 28): --input-shape is for --symbol, as is --input")
    return load_network(arguments.model, arguments.params)[0], arguments.model


def _input_shape(arguments: argparse.Namespace) -> InputShape:
    named: dict[str, tuple[int, ...]] = dict(arguments.input)
    if len(named) < len(arguments.input):
        raise ZooError("two of the inputs have the same name: each needs its own")
    return named or arguments.input_shape


def _verified_onnx(net: mx.gluon.HybridBlock, arguments: argparse.Namespace) -> tuple[bytes, verification.Verification]:
    import numpy as np

    from export import inference, verification
    from export.onnx import model as onnx_model
    from export.onnx import reading
    from zoo import models
    from zoo.data.named import load_data

    facts: dict[str, str] = {}
    data: Dataset | np.ndarray | dict[str, np.ndarray]
    calibration: Dataset | None = None
    if arguments.model is not None:
        mnist = load_data(arguments.data)
        card, test = models.get_card(arguments.model), mnist.test
        logits, data = verification.expected_outputs(net, test.images[:, None])[0], test
        facts = {
            "model": card.name,
            "licence": card.licence,
            "preprocessing": _PREPROCESSING[arguments.uint8],
            "accuracy": f"{(logits.argmax(axis=1) == test.labels).mean():.2%} of {len(test):,}, {test.source}",
        }
        if arguments.int8:
            calibration = mnist.train[_CALIBRATION]
            facts["accuracy_float32"] = facts.pop("accuracy")
            facts["calibration"] = f"{len(calibration):,} of the last 5,000 training images"
    else:
        random, shapes = np.random.default_rng(0), inference.input_shapes(_input_shape(arguments))
        arrays = {
            name: random.integers(0, 256, (_RANDOM_ITEMS, *shape), np.uint8)
            if arguments.uint8
            else random.random((_RANDOM_ITEMS, *shape), np.float32)
            for name, shape in shapes.items()
        }
        data = arrays if arguments.input else arrays[inference.INPUT]
    content = onnx_model.encode(
        net, _input_shape(arguments), arguments.opset, arguments.batch, arguments.softmax, arguments.uint8, facts,
        arguments.outputs, calibration,
    )  # fmt: skip
    return content, verification.compare(reading.decode(content, "the file"), net, data, arguments.seconds)
