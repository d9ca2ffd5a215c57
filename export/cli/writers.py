"""The files of each format, verified before they are written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from export import feeding, symbol, verification
from export.cli.source import Source
from export.inference import INPUT
from zoo.errors import ZooError
from zoo.io import files, private

_PREPROCESSING = {False: "pixels from 0 (background) to 255 (ink), divided by 255", True: "none: pixels from 0 to 255"}
# Files by name, and what is wrong with them, if anything is.
Written = tuple[dict[str, bytes], "str | None"]


def write_symbol(source: Source, arguments: argparse.Namespace) -> Written:
    """MXNet's own format."""
    names = [path.name for path in symbol.names(source.name, arguments.epoch)]
    contents = symbol.encode(source.net, source.input_shape, arguments.epoch)
    print("MXNet reads the symbol and its parameters back and computes the same", flush=True)
    return dict(zip(names, contents)), None


def write_onnx(source: Source, arguments: argparse.Namespace) -> Written:
    """ONNX, compared in all installed runtimes."""
    from export.onnx import DEFAULT_OPSET, model
    from export.onnx.options import Options

    name = f"{source.name}{'-int8' * arguments.int8}.onnx"
    options = Options(
        opset=DEFAULT_OPSET if arguments.opset is None else arguments.opset,
        batch=arguments.batch,
        softmax=arguments.softmax,
        uint8=arguments.uint8,
        metadata=_facts(source, arguments),
        outputs=arguments.outputs,
        int8=source.calibration if arguments.int8 else None,
    )
    contents = model.encode(source.net, source.input_shape, options, name)
    data = source.random_items(arguments.uint8) if source.card is None else source.test
    with private.folder() as folder:
        files.write_together({folder / each: content for each, content in contents.items()})
        verified = verification.compare(folder / name, "the file", source.net, data, arguments.seconds)
    print(f"{verified}\n", flush=True)
    return contents, ", ".join(verified.failures) or None


def _facts(source: Source, arguments: argparse.Namespace) -> dict[str, str]:
    """Return what a file states of a network of the zoo."""
    if source.card is None:
        return {}
    test = source.test
    logits = verification.expected_outputs(source.net, test.images[:, None])[0]
    accuracy = f"{(logits.argmax(axis=1) == test.labels).mean():.2%} of {len(test):,}, {test.source}"
    facts = {
        "model": source.card.name,
        "licence": source.card.licence,
        "preprocessing": _PREPROCESSING[arguments.uint8],
    }
    if not arguments.int8:
        return {**facts, "accuracy": accuracy}
    calibration = f"{len(source.calibration):,} of the last 5,000 training images"
    return {**facts, "accuracy_float32": accuracy, "calibration": calibration}


def write_c(source: Source, arguments: argparse.Namespace) -> Written:
    """Plain C, compiled and compared; without a compiler, a note says that nothing is known."""
    from export.c import checking, model
    from zoo.kernels import compilers

    if isinstance(source.input_shape, Mapping):
        raise ZooError("a file of C computes from one array: --input is for ONNX")
    labels, calibration, title = None, None, "a network"
    if source.card is None:
        items = source.random_items(uint8=True)[INPUT]
    else:
        items, labels = source.test.images[:, None], source.test.labels
        title = f"{source.card.name}, {source.card.licence}"
        calibration = source.calibration if arguments.int8 else None
    if not (arguments.uint8 or arguments.int8):
        items = feeding.scaled(items)
    code = model.source_of(
        source.net, f"{source.name}{'_int8' * arguments.int8}", title, source.input_shape, arguments.softmax,
        arguments.uint8, calibration,
    )  # fmt: skip
    contents = {f"{code.name}.c": code.code.encode(), f"{code.name}.h": code.header.encode()}
    compiler = compilers.find()
    if compiler is None:
        print("note: there is no C compiler here, so that nobody has verified the C file", file=sys.stderr)
        return contents, None
    checked = checking.check(source.net, code, items, labels, arguments.softmax, arguments.int8, compiler)
    print(f"{checked}\n", flush=True)
    return contents, f"the C file {checked.failure}" if checked.failure else None


WRITERS: dict[str, Callable[[Source, argparse.Namespace], Written]] = {
    "symbol": write_symbol,
    "onnx": write_onnx,
    "c": write_c,
}
