"""Progress bars appear only where someone watches: on terminals and in notebooks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from tqdm import notebook

import zoo
from bench.pace import Pace, duration
from zoo import progress

RECIPE = zoo.Recipe(epochs=1, batch_size=50)


@pytest.fixture
def kernel(monkeypatch):
    """This process as a notebook's kernel without ipywidgets, whose stderr is no terminal."""
    shell = SimpleNamespace(config={"IPKernelApp": {"connection_file": "kernel.json"}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(notebook, "IProgress", None)
    return shell


def fit(mnist, shown: bool | None = None) -> None:
    zoo.fit(zoo.get_model("mlp", seed=0), mnist.train[:200], recipe=RECIPE, progress=shown)


def test_a_notebook_shows_bars_as_text_where_it_has_no_widgets(kernel, mnist, capsys):
    fit(mnist)
    assert "/200" in capsys.readouterr().err
    fit(mnist, shown=False)
    assert capsys.readouterr().err == ""


def test_a_notebook_shows_bars_as_widgets_where_it_has_them(kernel, monkeypatch):
    made = []
    monkeypatch.setattr(notebook, "IProgress", object)
    monkeypatch.setattr(notebook, "tqdm", lambda **options: made.append(options))
    progress.progress_bar(total=7)
    progress.progress_bar(False, total=7)  # switched off
    (options,) = made
    assert options["total"] == 7 and options["disable"] is False


@pytest.mark.parametrize("interactive", [None, SimpleNamespace(config={"TerminalIPythonApp": {}})])
def test_neither_a_script_nor_ipython_in_a_terminal_is_a_notebook(interactive, mnist, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: interactive))
    fit(mnist)
    assert capsys.readouterr().err == ""
    fit(mnist, shown=True)
    assert "/200" in capsys.readouterr().err


def test_lines_appear_above_a_bar(capsys):
    with progress.progress_bar(True, total=3) as bar:
        bar.update()
        progress.say("done with one", sys.stderr)
        bar.update()
    erased, line, _ = capsys.readouterr().err.rpartition("done with one\n")
    assert line and erased.endswith("\r")  # nothing of the bar is left in that line


def test_what_is_left_follows_from_what_was_done():
    pace, left = Pace(), [("cell", 4.0), ("cell", 2.0), ("ceiling", 3.0)]
    assert pace.seconds(left) == 9.0
    pace.note("cell", 4.0, 8.0)
    assert pace.seconds(left) == 18.0  # twice as slow, also for the kind that was not measured yet
    pace.note("ceiling", 1.0, 1.0)
    assert pace.seconds(left) == 8.0 + 4.0 + 3.0
    assert pace.seconds([]) == 0.0


@pytest.mark.parametrize(
    "seconds, said",
    [(-1, "0 s"), (0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (200, "3 min"), (3 * 3600, "3 h 0 min"),
     (4830, "80 min"), (5520, "1 h 32 min")],
)  # fmt: skip
def test_durations(seconds: float, said: str):
    assert duration(seconds) == said
