"""What a command imports: MXNet takes seconds, so no command waits for it that can answer without it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import zoo
from zoo.cli import COMMANDS
from zoo.graph import cost
from zoo.models import costs
from zoo.models.architectures import MODELS
from zoo.models.lookup import get_card
from zoo.runtime import mx

every_model = pytest.mark.parametrize("name", zoo.list_models())


def imported(done: subprocess.CompletedProcess) -> set[str]:
    """The packages imported under ``PYTHONPROFILEIMPORTTIME``, which omits imports through ``importlib``."""
    names = (line.split("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "arguments",
    [
        ["zoo", "--help"],
        *(["zoo", command, "--help"] for command in COMMANDS),
        ["zoo.publishing.add", "--help"],
        ["bench", "report", "--help"],
        ["export", "--help"],
    ],
    ids=" ".join,
)
def test_help_does_not_import_mxnet(run, arguments: list):
    done = run(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0 and done.stdout.startswith("usage: ")
    assert "argparse" in imported(done) and "mxnet" not in imported(done)


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["zoo", "list"], 0),
        (["zoo", "list", "--layers"], 0),
        (["zoo", "card", "mlp"], 0),
        (["zoo", "list", "yolo"], 2),
        (["zoo", "card", "yolo"], 2),
        (["zoo", "train", "yolo"], 2),
        (["zoo", "evaluate", "yolo"], 2),
        (["zoo", "lr-find", "yolo"], 2),
        (["export", "yolo", "--out", "."], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_models_are_listed_without_mxnet_and_numpy(run, arguments: list, code: int):
    done = run(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == code, done.stderr
    assert (code == 0) == ("error: there is no model 'yolo': there are cnn7" not in done.stderr)
    assert "argparse" in imported(done) and not {"mxnet", "numpy", "scipy"} & imported(done)


@every_model
def test_the_layers_of_a_card_are_those_of_its_graph(name: str):
    assert zoo.get_card(name).layers == cost.layers(MODELS[name].build())


def test_what_ships_is_what_these_sources_make():
    shipped = (costs.PACKAGE / costs.FILE).read_bytes()
    assert shipped == costs.encode(costs.PACKAGE), "run python -m zoo.publishing.costs"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the file and of its dependencies."""
    shutil.copytree(costs.PACKAGE / "models/architectures", tmp_path / "models/architectures")
    (tmp_path / "graph").mkdir()
    for name in ("graph/cost.py", "graph/ir.py", "graph/shapes.py", costs.FILE):
        shutil.copy(costs.PACKAGE / name, tmp_path / name)
    return tmp_path


def _rewrite(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(package: Path) -> None:
        content = json.loads((package / costs.FILE).read_text())
        change(content)
        (package / costs.FILE).write_text(json.dumps(content))

    return damage


@pytest.mark.parametrize(
    "change",
    [
        lambda package: (package / "graph/cost.py").write_text("# other FLOPs\n"),
        lambda package: (package / "models/architectures/vgg.py").unlink(),
        lambda package: (package / "models/architectures/lenet.py").rename(package / "models/architectures/le_net.py"),
        lambda package: (package / "models/architectures/mine.py").write_text("# a model of one's own\n"),
        lambda package: (package / costs.FILE).unlink(),
        lambda package: (package / costs.FILE).write_bytes((package / costs.FILE).read_bytes()[:-100]),
        lambda package: (package / costs.FILE).write_text("[]"),
        lambda package: (package / costs.FILE).write_bytes(b"\xff\xfe"),
        _rewrite(lambda content: content["layers"]["mlp"][1].update(parameters=100_353)),
        _rewrite(lambda content: content["layers"]["mlp"].pop()),
        _rewrite(lambda content: content.pop("layers")),
        _rewrite(lambda content: content.update(layers=None)),
        _rewrite(lambda content: content.update(sha256=0)),
    ],
)
def test_changed_sources_and_damaged_files_are_noticed(package: Path, change: Callable, monkeypatch):
    assert sorted(costs.read(package)) == zoo.list_models()
    change(package)
    assert costs.read(package) == {}
    monkeypatch.setattr(costs, "PACKAGE", package)
    assert costs.layers(MODELS["mlp"]) == cost.layers(MODELS["mlp"].build())


def test_a_model_of_one_s_own_needs_no_entry(monkeypatch):
    mine = replace(MODELS["lenet5"], name="mine", initializer=mx.init.Constant(0.25))
    monkeypatch.setitem(MODELS._entries, "mine", mine)
    assert get_card.__wrapped__("mine").layers == zoo.get_card("lenet5").layers
    weights = zoo.get_model("mine").collect_params()["fc2_weight"].data()
    assert (weights == 0.25).asnumpy().all()
