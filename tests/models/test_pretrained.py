"""The pretrained weights: their cards are true, and nothing else is loaded in their place."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import zoo
from zoo.cli import main
from zoo.console import run_command
from zoo.data.corruptions import CORRUPTIONS
from zoo.models.architectures import ensemble
from zoo.models.pretrained import manifest
from zoo.models.pretrained.manifest import FOLDER
from zoo.publishing import combining

SHIPPED = zoo.list_models(pretrained=True)
CHEAPEST = min(SHIPPED, key=lambda name: zoo.get_card(name).flops)
OF_ONE_SEED = ("cnn7", combining.NAME)  # one takes long to train, the other is made of five seeds
every_shipped_model = pytest.mark.parametrize("name", SHIPPED)


def assert_errors(evaluation: zoo.Evaluation, errors: int) -> None:
    """Exact, except for images whose two highest logits tie within the rounding of other processors' sums."""
    second, first = np.sort(evaluation.logits, axis=1)[:, -2:].T
    undecided = int((first - second < 1e-5 * np.abs(evaluation.logits).max()).sum())
    assert abs(evaluation.errors - errors) <= undecided


@pytest.fixture
def copy(tmp_path: Path, monkeypatch) -> Path:
    """A copy of the package's folder that stands in for it, to be damaged."""
    folder = tmp_path / "pretrained"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(manifest, "FOLDER", folder)
    return folder


def test_every_file_has_an_entry_and_every_entry_a_file():
    files = sorted(path.name for path in (FOLDER / "weights").iterdir())
    assert files == [f"{name}.params" for name in manifest.entries()] == [f"{name}.params" for name in SHIPPED]
    assert sum(card.pretrained.bytes for card in map(zoo.get_card, SHIPPED)) < 25e6


@pytest.mark.exhaustive
@every_shipped_model
def test_the_card_s_accuracy_is_that_of_the_file(name: str, mnist):
    card = zoo.get_card(name)
    net = zoo.get_model(name, pretrained=True)
    assert (
        zoo.parameter_hash(net) == card.sha256 and manifest.params(FOLDER, name).stat().st_size == card.pretrained.bytes
    )
    evaluation = zoo.evaluate(net, mnist.test)
    assert_errors(evaluation, card.pretrained.errors)
    assert card.metrics["clean"] == card.pretrained.accuracy == 1 - card.pretrained.errors / 10_000


@every_shipped_model
def test_the_card_knows_seeds_and_every_corruption(name: str):
    known = zoo.get_card(name).pretrained
    assert len(known.seeds) >= (1 if name in OF_ONE_SEED else 3)
    assert (known.deviation is None) == (len(known.seeds) == 1)
    assert min(known.seeds.values()) <= 10_000 * (1 - known.mean) + 0.5 <= max(known.seeds.values()) + 1
    assert list(known.corruptions) == list(CORRUPTIONS)
    assert known.training_images + known.validation_images == 60_000


@pytest.mark.parametrize("page", ["README.md", "docs/pretrained.md"])
def test_the_manual_shows_what_the_cards_say(page: str):
    lines = ROOT.joinpath(page).read_text().splitlines()
    shown = {
        line.split("`")[1]: line for line in lines if line.startswith("| `") and re.search(" over | of 1 seed", line)
    }
    assert sorted(shown) == SHIPPED
    for name, line in shown.items():
        assert f"| {zoo.get_card(name).pretrained.over_seeds}" in line


def test_evaluate_needs_no_file_and_shows_hard_images_and_mistakes(mnist, tmp_path: Path, capsys):
    from PIL import Image

    known = zoo.get_card(CHEAPEST).pretrained
    picture = tmp_path / "mistakes.png"
    assert main(["evaluate", CHEAPEST, "--corruptions", "--misclassified", str(picture)]) == 0
    out = capsys.readouterr().out
    assert f"pretrained weights (SHA-256 {known.sha256})" in out
    rows = {line.split()[0]: line.split()[1:4] for line in out.split("test images")[1].splitlines()[2:] if line}
    net = zoo.get_model(CHEAPEST, pretrained=True)
    clean = zoo.evaluate(net, mnist.test)
    assert rows["clean"] == [f"{clean.accuracy:.2%}", f"{clean.errors:,}", "+0.00"]
    for name, errors in known.corruptions.items():
        hard = zoo.evaluate(net, zoo.corrupt(mnist.test, name))
        assert_errors(hard, errors)
        change = f"{100 * (hard.accuracy - clean.accuracy):+.2f}"
        assert rows[name] == [f"{hard.accuracy:.2%}", f"{hard.errors:,}", change]
    shown = min(clean.errors, 400)
    assert f"misclassified: {picture} ({shown} of {clean.errors:,}, the most confident first)" in out
    with Image.open(picture) as image:
        ink = np.asarray(image.convert("L")) < 128
    assert ink.shape[1] > 700 and 0.01 < ink.mean() < 0.2


def test_a_picture_of_no_mistakes_and_of_too_many(mnist, tmp_path: Path):
    from zoo.cli import plots

    labels = mnist.test.labels
    right = np.eye(10, dtype=np.float32)[labels]
    assert plots.misclassified(zoo.Evaluation(right, labels), mnist.test.images, "right", tmp_path / "right.png") == 0
    wrong = zoo.Evaluation(-right, labels)
    assert plots.misclassified(wrong, mnist.test.images, "wrong", tmp_path / "wrong.png") == 400


def test_a_changed_file_is_refused_by_name(copy: Path):
    file = copy / "weights" / f"{CHEAPEST}.params"
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        zoo.WeightsError, match=rf"{CHEAPEST}.params was changed or damaged: its SHA-256 is .* should be"
    ):
        zoo.get_model(CHEAPEST, pretrained=True)
    file.unlink()
    with pytest.raises(zoo.WeightsError, match=rf"cannot read .*{CHEAPEST}.params: No such file"):
        zoo.get_model(CHEAPEST, pretrained=True)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"sha256": "12"}, "sha256 should be 64 hexadecimal digits, not '12'"),
        ({"errors": "few"}, 'errors should be int, not "few"'),
        ({"errors": 10_001}, "errors: 10001 is not between 0 and 10,000"),
        ({"errors": 0}, "seeds should have 0 errors for the seed"),
        ({"corruptions": {"blur-1": -1}}, "blur-1: -1 is not between 0 and 10,000"),
        ({"seeds": [1]}, "seeds should be an object"),
        ({"settings": {"epochs": 0}}, "settings: epochs must be at least 1, not 0"),
        ({"machine": None}, "machine should be str, not null"),
        ({"colour": "red"}, "has the unknown field colour"),
    ],
)
def test_a_damaged_manifest_gets_one_sentence(change: dict, words: str, copy: Path):
    path = copy / "manifest.json"
    raw = json.loads(path.read_text())
    raw[CHEAPEST].update(change)
    path.write_text(json.dumps(raw))
    with pytest.raises(zoo.ZooError) as caught:
        zoo.get_model(CHEAPEST, pretrained=True)
    assert words in str(caught.value) and f"manifest.json: {CHEAPEST}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"mlp": NaN}', b'{"mlp": {}}', b"[" * 100_000])
def test_a_manifest_that_is_none_gets_one_sentence(content: bytes, copy: Path):
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(zoo.ZooError, match="manifest.json") as caught:
        zoo.list_models(pretrained=True)
    assert "\n" not in str(caught.value)


def test_models_are_filtered_as_in_other_zoos():
    assert zoo.list_models(["cnn7*", "mlp"], exclude_filters="*_relu") == ["cnn7", "cnn7_logits", "mlp"]
    assert zoo.list_models(exclude_filters=["cnn*", "mlp*", "lenet*"]) == [
        name for name in zoo.list_models() if not name.startswith(("cnn", "mlp", "lenet"))
    ]
    assert zoo.list_models("mlp*", pretrained=True) == [name for name in SHIPPED if name.startswith("mlp")]


def test_list_filters_sorts_and_stays_narrow(capsys):
    def listed(*arguments: str) -> list[str]:
        assert main(["list", *arguments]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) < 130
        return [line.split()[0] for line in lines[2:]]

    names = zoo.list_models()
    assert listed() == names
    assert listed("--pretrained") == SHIPPED
    assert listed("--pretrained", "--sort", "accuracy") == sorted(
        SHIPPED, key=lambda name: -zoo.get_card(name).metrics["clean"]
    )
    assert listed("--sort", "accuracy")[: len(SHIPPED)] == listed("--pretrained", "--sort", "accuracy")
    assert listed("--sort", "parameters") == sorted(names, key=lambda name: zoo.get_card(name).parameters)
    assert listed("--sort", "flops") == sorted(names, key=lambda name: zoo.get_card(name).flops)
    assert listed("--pretrained", "--sort", "time") == sorted(SHIPPED, key=lambda n: zoo.get_card(n).pretrained.seconds)
    assert listed("cnn7*", "lenet5", "--exclude", "*_relu", "*_logits") == ["cnn7", "lenet5"]


def test_list_shows_the_speed_that_was_measured(tmp_path: Path, capsys):
    from bench import cells, results

    def outcome(model: str, phase: str, *speeds: int) -> cells.Outcome:
        rounds = tuple(cells.Round(speed, 1.0) for speed in speeds)
        measured = cells.Measurement(rounds, (), None, 0, 0.0, 0, 0, True, "test") if rounds else None
        return cells.Outcome(cells.Cell(model, "cpu(0)", "float32", 1, phase), measured)

    outcomes = [outcome("mlp", "infer", 1000, 3000, 2000), outcome("mlp", "infer", 1500), outcome("mlp", "train", 9999)]
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(results.document(results.Run({}, (), (*outcomes, outcome("cnn7", "infer"))))))
    assert main(["list", "mlp", "cnn7", "--bench", str(file)]) == 0
    header, _, cnn7, mlp = capsys.readouterr().out.splitlines()
    column = slice(header.index("images/s") - 2, header.index("images/s") + 8)
    assert (cnn7[column].strip(), mlp[column].strip()) == ("", "2,000")
    file.write_text("{}")
    assert main(["list", "--bench", str(file)]) == 2
    assert "is not what python -m bench --json writes" in capsys.readouterr().err


@every_shipped_model
def test_the_card_is_printed_whole(name: str, capsys):
    assert main(["card", name]) == 0
    text, card = capsys.readouterr().out, zoo.get_card(name)
    known = card.pretrained
    for fact in (card.source, card.sha256, card.licence, known.command, known.machine, known.settings, *CORRUPTIONS):
        assert str(fact) in text
    assert known.over_seeds in text


def test_a_card_without_weights_says_so():
    name = next(iter(zoo.list_models(pretrained=False)))
    assert "pretrained  no" in str(zoo.get_card(name)) and zoo.get_card(name).metrics == {}


def test_what_has_no_weights_is_refused(capsys):
    name = next(iter(zoo.list_models(pretrained=False)))
    for arguments, words in (
        (["evaluate", name], f"there are no pretrained weights for {name}"),
        (["list", name, "--pretrained"], f"no model matches {name}, with pretrained weights"),
        (["list", "cnn7", "--exclude", "c*"], "no model matches cnn7, excluding c*"),
        (["card", "yolo"], "no model 'yolo'"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_export_takes_the_pretrained_weights(tmp_path: Path, capsys):
    arguments = [CHEAPEST, "--format", "symbol", "--out", str(tmp_path)]
    assert run_command("export.cli", "export", "", arguments) == 0
    net = zoo.get_model(CHEAPEST)
    assert zoo.load_parameters(net, tmp_path / f"{CHEAPEST}-0000.params") == zoo.get_card(CHEAPEST).sha256
    assert run_command("export.cli", "export", "", ["--symbol", "net-symbol.json", "--out", str(tmp_path)]) == 2
    assert "net-symbol.json has no weights in it: name their file with --params" in capsys.readouterr().err


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Short runs of mlp: ``0``, ``1`` and ``2`` are seeds, ``all`` holds nothing out, ``long`` has other settings."""
    folder = tmp_path_factory.mktemp("runs")
    common = ["train", "mlp", "--batch-size", "500"]
    for seed in "012":
        assert main([*common, "--epochs", "1", "--seed", seed, "--out", str(folder / seed)]) == 0
    assert main([*common, "--epochs", "1", "--holdout", "0", "--seed", "3", "--out", str(folder / "all")]) == 0
    assert main([*common, "--epochs", "2", "--seed", "3", "--out", str(folder / "long")]) == 0
    return folder


def publish(*arguments: object) -> int:
    return run_command("zoo.publishing.add", "add", "", [str(argument) for argument in arguments])


def test_the_best_on_held_out_images_is_published(runs: Path, mnist, tmp_path: Path, capsys):
    assert publish(runs / "0", runs / "1", runs / "2", "--into", tmp_path) == 0
    out = capsys.readouterr().out
    entry = manifest.read(tmp_path)["mlp"]
    histories = [zoo.History.read(runs / seed / "history.json") for seed in "012"]
    best = max(histories, key=lambda history: history.records[-1].validation_accuracy)
    assert f"mlp: seed {best.recipe.seed}, the best on 5,000 held-out images" in out
    assert entry.settings == best.recipe and entry.sha256 == best.command.sha256
    assert entry.seeds == {str(history.recipe.seed): history.command.test.errors for history in histories}
    assert entry.command == f"python -m zoo train mlp --batch-size 500 --epochs 1 --seed {best.recipe.seed}"
    assert entry.recipe is None and entry.validation_accuracy == best.records[-1].validation_accuracy
    assert entry.over_seeds == f"{entry.mean:.2%} ± {entry.deviation:.2%} over 3 seeds"
    net = zoo.get_model("mlp")
    assert zoo.load_parameters(net, tmp_path / "weights" / "mlp.params") == entry.sha256
    assert zoo.evaluate(net, mnist.test).errors == entry.errors
    assert publish(runs / "all", "--into", tmp_path) == 0  # in its place
    assert "mlp: seed 3, the lowest, for no images were held out" in capsys.readouterr().out
    replaced = manifest.read(tmp_path)["mlp"]
    assert (replaced.validation_images, replaced.validation_accuracy, replaced.deviation) == (0, None, None)
    assert replaced.over_seeds == f"{replaced.accuracy:.2%} of 1 seed"


def test_an_ensemble_is_made_of_runs(runs: Path, mnist, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(ensemble, "MEMBERS", ("mlp",) * 3)
    assert publish(runs / "2", runs / "0", runs / "1", "--ensemble", "--into", tmp_path) == 0
    entry = manifest.read(tmp_path)["ensemble"]
    net = zoo.get_model("ensemble")
    assert zoo.load_parameters(net, tmp_path / "weights" / "ensemble.params") == entry.sha256
    logits = []
    for seed in "012":
        member = zoo.get_model("mlp")
        zoo.load_parameters(member, runs / seed / "final.params")
        logits.append(zoo.evaluate(member, mnist.test).logits)
    evaluation = zoo.evaluate(net, mnist.test)
    assert np.abs(evaluation.logits - np.mean(logits, axis=0)).max() < 1e-5
    assert entry.errors == evaluation.errors and entry.seeds == {"0": evaluation.errors}
    assert entry.validation_accuracy == zoo.evaluate(net, mnist.train[-5000:]).accuracy
    assert "with the seeds 0, 1, 2" in entry.command
    assert publish(runs / "0", runs / "1", "--ensemble", "--into", tmp_path) == 2
    assert "ensemble is made of mlp, mlp, mlp, and these runs are of mlp, mlp" in capsys.readouterr().err


def test_runs_that_do_not_belong_together_are_refused(runs: Path, tmp_path: Path, capsys):
    def refused(words: str, *folders: Path) -> None:
        assert publish(*folders, "--into", tmp_path / "out") == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    refused("do not belong together: training_images is 55000 and 60000", runs / "0", runs / "all")
    refused("do not belong together: their settings are sgd", runs / "0", runs / "long")
    refused("seed 0 occurs more than once", runs / "0", runs / "0")
    refused("cannot read", tmp_path / "nowhere")
    changed = tmp_path / "changed"
    shutil.copytree(runs / "0", changed)
    shutil.copy(runs / "1" / "final.params", changed / "final.params")
    refused("final.params was changed or damaged", changed)
    raw = json.loads((changed / "history.json").read_text())
    for part, words in (
        ({"command": None}, "does not say how it was trained"),
        ({"stopped": "interrupted"}, "did not finish"),
    ):
        (changed / "history.json").write_text(json.dumps({**raw, **part}))
        refused(words, changed)
