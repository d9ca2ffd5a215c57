"""Every file that a user names is opened by ``zoo.io.files``, which no pipe, device or bomb can harm."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

OPENING = {"open", "read_text", "read_bytes", "load", "load_model", "fromfile", "memmap", "loadtxt", "GzipFile"}
MODULES = {
    "json",
    "schema",
    "results",
    "Loader",
    "kept",
    "library",
    "mx",
    "manifest",
    "fetch",
}  # whose load() takes no path
# Files that these modules open themselves, and why nobody else can have put anything else there.
OWN = {
    "the guard itself": ("zoo/io/files.py", "zoo/io/private.py", "zoo/io/temporary.py", "zoo/io/locks.py"),
    "of the system": (
        "zoo/console.py", "zoo/runtime/cpus.py", "bench/measure.py", "bench/sides/environment.py",
        "zoo/graph/quantization.py",
    ),
    "of this package or of MXNet": (
        "zoo/models/costs.py", "zoo/kernels/build.py", "zoo/runtime/operators.py", "zoo/installation/environment.py",
        "bench/kept.py",
    ),
    "in memory": (
        "zoo/kernels/library.py", "zoo/data/idx.py", "zoo/data/recordio.py", "zoo/data/decoded.py",
        "zoo/models/safetensors.py",
    ),
    "in a private temporary folder": (
        "zoo/data/fetch.py", "zoo/data/sources.py", "bench/profiling.py", "bench/peers/comparison.py",
        "bench/sides/checks.py", "bench/sides/ours.py", "bench/sides/pytorch.py", "bench/sides/report_loop.py",
        "bench/compare/revisions.py", "bench/report/drawing.py", "export/runtimes/apache_tvm.py",
        "export/c/program.py", "export/onnx/importing/source.py", "export/runtimes/child.py",
        "export/runtimes/opencv.py", "export/runtimes/process.py",
    ),
    "regular, which is checked before": ("zoo/data/images.py",),
    "written": ("zoo/data/mxnet_loaders.py",),
}  # fmt: skip


def opened(source: Path) -> Iterator[str]:
    """The calls in ``source`` that open a file, by line."""
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        owner = called.value.id if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) else ""
        if name in OPENING and not (name == "load" and (owner in MODULES or not owner)):
            yield f"{source.relative_to(ROOT)}:{node.lineno} calls {owner}.{name}"


def test_no_other_module_opens_files():
    own = {name for names in OWN.values() for name in names}
    sources = [path for package in ("zoo", "bench", "export") for path in (ROOT / package).rglob("*.py")]
    found = [call for path in sources if str(path.relative_to(ROOT)) not in own for call in opened(path)]
    assert not found, "zoo.io.files.read is the way to read what a user names"


def test_every_exception_is_one():
    sources = {name: ROOT / name for names in OWN.values() for name in names}
    assert not [name for name, path in sources.items() if not path.exists() or not list(opened(path))]
