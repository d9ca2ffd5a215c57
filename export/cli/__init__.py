"""``python -m export``: write a trained model as files for other programs, once they are verified."""

from __future__ import annotations

import argparse
import sys
from importlib import util
from pathlib import Path

from export.onnx import DEFAULT_OPSET
from zoo.cli.options import add_data, add_params, model, path
from zoo.console import FAILURE
from zoo.errors import ZooError
from zoo.io import files

# The last is renamed first: a new symbol beside old parameters tells load_symbol that the others may be old too.
_ORDER = (".params", ".data", ".onnx", ".json", ".c", ".h")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options for the network, its weights and the files to write."""
    parser.add_argument("model", nargs="?", type=model, help="a name from python -m zoo list")
    parser.add_argument("--symbol", metavar="FILE", type=path, help="instead of a name: any network's -symbol.json")
    parser.add_argument("--onnx", metavar="FILE", type=path, help="instead of a name: a network in an ONNX file")
    add_params(parser)
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="where to write")
    parser.add_argument(
        "--format", choices=("symbol", "onnx", "both", "c"),
        help="MXNet's -symbol.json and .params, ONNX, both, or plain C "
        "(default: both; onnx with --symbol, symbol with --onnx)",
    )  # fmt: skip
    parser.add_argument("--epoch", type=int, default=0, help="number in the name of the .params file (default: 0)")
    onnx = parser.add_argument_group("ONNX and C")
    onnx.add_argument("--softmax", action="store_true", help="output probabilities")
    onnx.add_argument("--uint8", action="store_true", help="accept uint8 pixels from 0 to 255")
    onnx.add_argument("--int8", action="store_true", help="compute with 8-bit integers")
    onnx.add_argument("--opset", type=int, help=f"13 to 21 (default: {DEFAULT_OPSET})")
    onnx.add_argument("--batch", type=int, metavar="N", help="fix the batch size (default: left open)")
    onnx.add_argument(
        "--input-shape", metavar="C,H,W", type=_shape,
        help="shape of one input, with --symbol (default: 1,28,28), or with --onnx if the file leaves it open",
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
    formats = _formats(arguments)
    _refuse_unused(arguments, formats)
    from export.cli import writers
    from export.cli.source import Source

    source = Source.of(arguments)
    contents: dict[str, bytes] = {}
    for each in formats:
        written, failure = writers.WRITERS[each](source, arguments)
        if failure:
            print(f"error: {failure}: nothing was written", file=sys.stderr)
            return FAILURE
        contents.update(written)
    targets = {files.output_file(arguments.out / name): content for name, content in contents.items()}
    order = sorted(targets, key=lambda target: _ORDER.index(target.suffix))
    files.write_together({target: targets[target] for target in order})
    for target, content in targets.items():
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
    if [arguments.model, arguments.symbol, arguments.onnx].count(None) != 2:
        raise ZooError("name one of the two: a model of the zoo, or a file with --symbol or --onnx")
    if arguments.onnx is not None and arguments.params is not None:
        raise ZooError(f"{arguments.onnx} holds its weights: --params is for others")
    if arguments.symbol is not None and arguments.params is None:
        raise ZooError(_without_weights(arguments.symbol))
    if arguments.int8 and arguments.model is None:
        raise ZooError(
            "--int8 finds the ranges of the integers with images of MNIST: for one from --symbol or --onnx, call "
            "export.to_onnx(net, path, int8=items) in Python"
        )
    if arguments.format == "c":
        return ("c",)
    if arguments.symbol is not None:
        if arguments.format not in (None, "onnx"):
            raise ZooError(f"{arguments.symbol} is in MXNet's format already: with --symbol, ONNX is what is written")
        return ("onnx",)
    if arguments.onnx is not None and arguments.format is None:
        return ("symbol",)
    if arguments.format is None and not arguments.int8 and util.find_spec("onnx") is None:
        print("note: no ONNX file is written without the package onnx: pip install '.[onnx]'", file=sys.stderr)
        return ("symbol",)
    return ("symbol", "onnx") if arguments.format in (None, "both") else (arguments.format,)


def _refuse_unused(arguments: argparse.Namespace, formats: tuple[str, ...]) -> None:
    """Refuse options that none of ``formats`` takes, which would otherwise be ignored."""
    onnx, both = ("onnx",), ("onnx", "c")
    options: dict[str, tuple[object, tuple[str, ...]]] = {
        "--softmax": (arguments.softmax, both),
        "--uint8": (arguments.uint8, both),
        "--int8": (arguments.int8, both),
        "--opset": (arguments.opset is not None, onnx),
        "--batch": (arguments.batch is not None, onnx),
        "--outputs": (arguments.outputs, onnx),
    }
    for option, (is_given, takers) in options.items():
        if is_given and not set(takers) & set(formats):
            wanted = " and ".join(each.upper() for each in takers)
            raise ZooError(f"{option} is for {wanted}, and --format {formats[0]} writes none")
    if arguments.input and arguments.input_shape is not None:
        raise ZooError("--input and --input-shape both give shapes: one of the two")


def _without_weights(symbol: Path) -> str:
    if symbol.suffix == ".onnx":
        return f"{symbol} is an ONNX file, and no symbol of MXNet's: name it with --onnx"
    return f"{symbol} has no weights in it: name their file with --params"
