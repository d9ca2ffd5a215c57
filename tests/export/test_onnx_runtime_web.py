"""ONNX Runtime Web, where Node.js is: found like a package of its, and run beside the other runtimes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import export
import zoo
from export import runtimes, verification
from export.runtimes import onnx_runtime_web

pytest.importorskip("onnx")
(WEB,) = (each for each in runtimes.RUNTIMES if each.name == "ONNX Runtime Web")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return export.to_onnx(zoo.get_model("nano", seed=0), tmp_path / "model.onnx")


def install(folder: Path, node: str | None, monkeypatch) -> None:
    """Let ``folder`` hold a package, and a program that is called as Node.js."""
    (folder / "onnxruntime-web").mkdir(parents=True)
    (folder / "onnxruntime-web" / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    monkeypatch.setenv("PATH", str(folder))
    if node is not None:
        (folder / "node").write_text(node)
        (folder / "node").chmod(0o755)


def test_it_is_found_where_npm_puts_it(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODE_PATH", raising=False)
    assert onnx_runtime_web.version() is None
    install(tmp_path / "node_modules", "#!/bin/sh\n", monkeypatch)
    assert onnx_runtime_web.version() == "1.2.3"
    monkeypatch.chdir("/")
    assert onnx_runtime_web.version() is None
    monkeypatch.setenv("NODE_PATH", os.pathsep.join(["/nowhere", str(tmp_path / "node_modules")]))
    assert onnx_runtime_web.version() == "1.2.3"
    (tmp_path / "node_modules" / "node").unlink()
    assert onnx_runtime_web.version() is None


@pytest.mark.parametrize(
    "node, reason",
    [("#!/bin/sh\nexit 1\n", "Node.js ended"), ('#!/bin/sh\nprintf \'\\021\\0\\0\\0{"error": "old"}  \'\n', "old")],
)
def test_what_node_says_is_the_reason(node: str, reason: str, path: Path, tmp_path: Path, monkeypatch):
    install(tmp_path / "packages", node, monkeypatch)
    monkeypatch.setenv("NODE_PATH", str(tmp_path / "packages"))
    monkeypatch.setattr(verification, "RUNTIMES", (WEB,))
    found = export.verify(path, zoo.get_model("nano", seed=0), np.zeros((8, 1, 28, 28), np.float32))
    assert found.parities[0].refusal == reason


@pytest.mark.skipif(not WEB.is_installed, reason="needs Node.js and npm install onnxruntime-web")
def test_it_agrees(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(verification, "RUNTIMES", (WEB,))
    net, data = zoo.get_model("mlp", seed=0), np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28), np.uint8)
    for options in ({}, {"uint8": True}, {"external": True, "batch": 3}):
        found = export.verify(export.to_onnx(net, tmp_path / "model.onnx", **options), net, data)
        assert not found.failures and found.parities[0].same == 8, str(found)
