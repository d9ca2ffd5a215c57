"""Memory does not grow with what has been done."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import export
import zoo
from zoo.graph.execution import Execution
from zoo.runtime import mx
from zoo.training import Predictor

WARM, MOST = 20, 10 << 20  # cycles before memory is measured; bytes that all further ones may add


def _fit_and_evaluate(mnist: zoo.MNIST, folder: Path) -> None:
    net = zoo.get_model("mlp", seed=0)
    zoo.fit(net, mnist.train[:200], mnist.train[-100:], zoo.Recipe(epochs=1, batch_size=100, momentum=0.9), out=None)
    zoo.evaluate(net, mnist.train[:100])


def _fit_into_a_folder(mnist: zoo.MNIST, folder: Path) -> None:
    net = zoo.get_model("nano", seed=0)
    for path in folder.iterdir():
        path.unlink()
    zoo.fit(net, mnist.train[:200], mnist.train[-100:], zoo.Recipe(epochs=1, batch_size=100, ema=0.9), out=folder)


def _predict_in_int8(mnist: zoo.MNIST, folder: Path) -> None:
    net = zoo.get_model("lenet5", seed=0)
    Predictor(net, mnist.train[:100], Execution.of(net, None, "int8"), calibration=mnist.train[:100]).evaluate()


def _export(mnist: zoo.MNIST, folder: Path) -> None:
    net = zoo.get_model("nano", seed=0)
    export.to_onnx(net, folder / "nano.onnx")
    export.to_symbol(net, folder / "nano")


def _compile(mnist: zoo.MNIST, folder: Path) -> None:
    zoo.compile(zoo.get_model("nano", seed=0))(mnist.train.images[:1, None].astype("float32") / 255)


def _allocated() -> int:
    """Bytes in use. Resident memory also counts what is free but scattered, and so varies."""
    gc.collect()
    mx.nd.waitall()
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    kind = type("mallinfo2", (ctypes.Structure,), {"_fields_": [(name, ctypes.c_size_t) for name in names]})
    library = ctypes.CDLL("libc.so.6")
    if not hasattr(library, "mallinfo2"):
        return psutil.Process().memory_info().rss
    library.mallinfo2.restype = kind
    found = library.mallinfo2()
    return found.uordblks + found.hblkhd


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "work, cycles",
    [(_fit_and_evaluate, 500), (_fit_into_a_folder, 100), (_predict_in_int8, 100), (_export, 200), (_compile, 200)],
)
def test_memory_does_not_grow(work: Callable[[zoo.MNIST, Path], None], cycles: int, mnist, tmp_path: Path):
    for number in range(cycles):
        if number == WARM:
            before = _allocated()
        work(mnist, tmp_path)
    assert _allocated() - before < MOST
