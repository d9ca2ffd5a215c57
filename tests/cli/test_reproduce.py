"""Small versions of the published experiments, the learning-rate range test, and their plots."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, assert_refused
from PIL import Image

import zoo
from zoo.cli import main, plots, reproductions
from zoo.models.architectures import MODELS


@pytest.fixture(scope="module")
def runs(mnist, tmp_path_factory) -> list[reproductions.Reproduction]:
    """The notebook's experiment on a seventh of its images, for three epochs at most."""
    folder = tmp_path_factory.mktemp("notebook")
    return list(reproductions.mlp_learning_rates(mnist.train[:6000], folder, epochs=3))


def test_the_notebook_s_pattern_shows(runs: list):
    assert [run.name for run in runs] == [f"learning rate {rate}" for rate in (0.1, 0.01, 0.001)] * 2
    raw, scaled = runs[:3], runs[3:]
    final = [run.validation[-1] for run in raw]
    assert final[0] < 0.2 and final[0] < final[1] < final[2] and final[2] > 0.7
    assert scaled[0].validation[-1] > max(0.85, *final[1:])
    assert [run.published.validation[0] for run in raw] == [0.105476, 0.556667, 0.804762]


def test_curves_are_drawn(runs: list, tmp_path: Path):
    panels = reproductions.panels(runs)
    assert [(title, len(lines)) for title, lines in panels] == [
        ("pixels from 0 to 255", 6),
        ("pixels scaled to 0 to 1", 3),
    ]
    plots.curves(panels, tmp_path / "curves.png")
    image = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    assert image.shape[1] > 2 * image.shape[0] and (image < 100).mean() > 0.01


def test_reproduce_prints_published_beside_measured(mnist, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(reproductions, "NOTEBOOK_IMAGES", 2000)
    out, plot = tmp_path / "out", tmp_path / "plot.svg"
    assert main(["reproduce", "mlp-learning-rates", "--epochs", "1", "--out", str(out), "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert len(zoo.load_records(out / "mnist_train.rec")) == 1800
    assert [line.split()[index] for line in printed.splitlines()
            if " 0.7306 " in line for index in (0, 1, 3)] == ["1", "0.7306", "0.8048"]  # fmt: skip
    assert f"plot: {plot}" in printed and "<svg" in plot.read_text()


def test_the_report_s_training_keeps_its_weights_and_is_shown_beside_the_report(mnist, tmp_path: Path):
    small = zoo.MNIST(mnist.train[:600], mnist.test[:200])
    seen = []
    run = reproductions.cnn7(small, epochs=1, out=tmp_path, on_epoch=seen.append)
    assert list(run.records) == seen and run.published.validation[0] == 0.9753 and len(run.published.train) == 13
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final.params", "history.json"]  # below 99.3%


@pytest.mark.parametrize("optimizer, ctx", [("sgd", "cpu"), ("adam", "cpu"), ("sgd", "cpu(0),cpu(1)")])
def test_a_range_test_leaves_the_weights_and_finds_a_rate_that_trains(optimizer: str, ctx: str, mnist):
    net = zoo.get_model("mlp", ctx=ctx, seed=0)
    before = zoo.parameter_hash(net)
    recipe = replace(MODELS["mlp"].recipe, optimizer=optimizer, epochs=2)
    test = zoo.lr_find(net, mnist.train[:10_000], recipe)
    assert zoo.parameter_hash(net) == before
    assert len(test.rates) == len(test.losses) == len(test.smoothed) and list(test.rates) == sorted(test.rates)
    assert test.losses[0] > 2 and min(test.smoothed) < 1.5
    history = zoo.fit(net, mnist.train[:10_000], mnist.test[:1000], replace(recipe, learning_rate=test.suggestion))
    assert history.records[-1].validation_accuracy > 0.85


def test_raw_pixels_need_a_far_lower_rate(mnist):
    """What takes the notebook three tries."""
    net, recipe = zoo.get_model("mlp", seed=0), MODELS["mlp"].recipe
    raw, scaled = (zoo.lr_find(net, data, recipe).suggestion for data in (mnist.train.raw(), mnist.train))
    assert 1e-4 < raw < 0.01 < scaled < 0.5


def test_lr_find_prints_a_suggestion_and_draws(tmp_path: Path, capsys):
    plot = tmp_path / "rates.png"
    assert main(["lr-find", "mlp", "--steps", "60", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert 0.001 < float(printed.split("suggested learning rate: ")[1].split()[0]) < 1
    with Image.open(plot) as image:
        assert image.size[0] > 500


def test_without_matplotlib_there_is_a_sentence_and_no_plot(tmp_path: Path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; from zoo.cli import main\n"
        f"sys.exit(main(['lr-find', 'mlp', '--steps', '10', '--plot', {str(tmp_path / 'rates.png')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and "suggested learning rate" in done.stdout
    assert "no plot: matplotlib is not installed; run pip install '.[report]'" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["reproduce", "cnn7", "--epochs", "0"], ["--epochs must be at least 1"]),
        (["reproduce", "cnn7", "--plot", "curves.jpg"], ["its name must end in .png, .pdf or .svg"]),
        (["reproduce", "cnn7", "--plot", "/dev/null/curves.png"], ["cannot write into /dev/null"]),
        (["lr-find", "mpl"], ["no model 'mpl'"]),
        (["lr-find", "mlp", "--lowest", "1", "--highest", "0.1"], ["the rates must grow"]),
        (["lr-find", "mlp", "--highest", "inf"], ["the rates must grow"]),
    ],
)
def test_mistakes_get_one_sentence(arguments: list, words: list, capsys):
    code = main(arguments)
    assert_refused(subprocess.CompletedProcess(arguments, code, "", capsys.readouterr().err), *words)
