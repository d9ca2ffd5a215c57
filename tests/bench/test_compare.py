"""``python -m bench compare``: what it finds, what it leaves alone, and that it leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from test_results import CELL, DATA, a_run

from bench import results
from bench.cells import Outcome, Round
from bench.cli import main
from bench.compare import revisions
from bench.compare.rounds import PAIRS, Pair, Turns
from bench.compare.rows import of_pairs, slowed
from bench.compare.statistics import FASTER, LEVEL, NOISY, SAME, SLOWER
from bench.sides.wire import Side

pytest.importorskip("scipy")
THRESHOLD = 0.03


def pairs(
    seed: int, slowdown: float = 0.0, wall: float = 0.1, cpu: float = 0.05, second: float = 0.0, process: float = 0.02
) -> list[Pair]:
    """Pairs of processes on a machine whose speed wanders; ``wall`` and ``cpu`` are the noise of each clock by turn.

    The side that runs second takes longer by the share ``second``. Processes of the same code differ by ``process`` for
    as long as they live, and all processes of the second revision are slower by ``slowdown``.
    """
    random = np.random.default_rng(seed)

    def turn(machine: float, share: float, is_second: bool) -> Round:
        factor = (1 + share) * (1 + second * is_second)
        seconds = 0.25 * factor * machine * np.exp(random.normal(0, wall))
        return Round(10_000, seconds, 0.4 * factor * np.exp(random.normal(0, cpu)))

    def pair() -> Pair:
        a, b = np.exp(random.normal(0, process, 2)) * (1, 1 + slowdown) - 1
        speeds = np.exp(np.cumsum(random.normal(0, 0.2, 16)))
        return tuple(
            Turns(turn(speed, a, number % 2 == 1), turn(speed, b, number % 2 == 0), 0.02, 0.5)
            for number, speed in enumerate(speeds)
        )

    return [pair() for _ in range(PAIRS)]


def verdict(seed: int, **settings):
    return of_pairs(CELL, pairs(seed, **settings), THRESHOLD, LEVEL).verdict


def verdicts(times: int, **settings) -> list[str]:
    return [verdict(seed, **settings).word for seed in range(times)]


def test_a_revision_is_not_slower_than_itself():
    assert {SLOWER, FASTER}.isdisjoint(verdicts(50)), "a wandering machine is no difference"
    assert {SLOWER, FASTER}.isdisjoint(verdicts(50, wall=1.0, cpu=0.5)), "nor is a busy one"
    assert {SLOWER, FASTER}.isdisjoint(verdicts(50, second=0.2)), "nor is coming second"
    assert verdicts(50, wall=0.02, process=0.01).count(SAME) >= 48


@pytest.mark.parametrize("process", [0.05, 0.2])
def test_processes_that_differ_as_long_as_they_live_are_no_difference(process: float):
    words = verdicts(200, wall=0.01, cpu=0.01, process=process)
    assert words.count(SLOWER) + words.count(FASTER) <= 6, "two are expected"


@pytest.mark.parametrize("wall, cpu", [(0.03, 0.5), (0.05, 0.5), (1.0, 0.05)])
def test_eight_percent_are_found_by_either_clock(wall: float, cpu: float):
    assert verdicts(50, slowdown=0.08, wall=wall, cpu=cpu).count(SLOWER) >= 45
    assert verdicts(50, slowdown=-0.08, wall=wall, cpu=cpu).count(FASTER) >= 45


def test_a_verdict_says_by_which_clock():
    by_cpu = of_pairs(CELL, pairs(0, slowdown=0.2, wall=2.0, cpu=0.02), THRESHOLD, LEVEL)
    assert str(by_cpu.verdict) == "slower in CPU time" and by_cpu.is_slower
    by_wall = of_pairs(CELL, pairs(0, slowdown=0.2, wall=0.02, cpu=1.0), THRESHOLD, LEVEL)
    assert str(by_wall.verdict) == "slower"
    assert by_wall.wall.interval[0] < by_wall.wall.ratio < by_wall.wall.interval[1] < 1
    neither = of_pairs(CELL, pairs(0, slowdown=0.05, wall=2.0, cpu=2.0), THRESHOLD, LEVEL)
    assert neither.verdict.word == NOISY and not neither.is_slower


@pytest.mark.parametrize("clocks", [{"wall": 0.03, "cpu": 0.5}, {"wall": 0.5, "cpu": 0.03}])
def test_a_planted_slowdown_counts_as_one_of_the_revision_does(clocks: dict):
    measured = of_pairs(CELL, pairs(0, slowdown=0.1, **clocks), THRESHOLD, LEVEL)
    planted = slowed(of_pairs(CELL, pairs(0, **clocks), THRESHOLD, LEVEL), 0.1, THRESHOLD, LEVEL)
    assert planted.is_slower and planted.verdict == measured.verdict
    assert planted.wall.ratio == pytest.approx(measured.wall.ratio) and planted.cpu.p == pytest.approx(measured.cpu.p)


def test_cpu_time_says_nothing_about_gpus():
    measured = pairs(0, slowdown=0.2, wall=2.0, cpu=0.02)
    row = of_pairs(replace(CELL, context="gpu(0)"), measured, THRESHOLD, LEVEL)
    assert row.cpu is None and row.verdict.word == NOISY


def test_significant_but_small_is_the_same_and_disturbed_rounds_change_little():
    settings = {"wall": 0.005, "cpu": 0.005, "process": 0.002}
    assert set(verdicts(20, slowdown=0.01, **settings)) == {SAME}
    measured = pairs(1, wall=0.01, cpu=0.5, process=0.005)
    for every, words in ((16, {SAME}), (8, {SAME, NOISY})):
        disturbed = [
            [
                replace(each, b=replace(each.b, seconds=each.b.seconds * 20)) if number % every == 0 else each
                for number, each in enumerate(pair)
            ]
            for pair in measured
        ]
        assert of_pairs(CELL, disturbed, THRESHOLD, LEVEL).verdict.word in words
    identical = [[Turns(each.a, each.a, 0.02, 0.5) for each in pair] for pair in measured]
    assert of_pairs(CELL, identical, THRESHOLD, LEVEL).verdict.word == SAME


@pytest.fixture
def files(tmp_path: Path):
    """Two result files: in B the code takes ``code`` and the machine ``machine`` times as long."""

    def make(code: float = 1.0, machine: float = 1.0, **changes) -> list[str]:
        random = np.random.default_rng(3)
        for name, slower, host in (("a", 1.0, 1.0), ("b", code * machine, machine)):
            run = a_run()
            noise = random.normal(1, 0.01, (2, 8))
            measurement = replace(
                run.results[0].measurement,
                rounds=tuple(Round(1000, 0.5 * slower * each, 0.9 * slower * each) for each in noise[0]),
                reference_seconds=tuple(0.02 * host * noise[1]),
            )
            outcome = Outcome(CELL, replace(measurement, **changes))
            results.save(tmp_path / f"{name}.json", replace(run, results=(outcome, run.results[1])))
        return [str(tmp_path / "a.json"), str(tmp_path / "b.json")]

    return make


def compare(*arguments: str) -> int:
    return main(["compare", *arguments])


@pytest.mark.parametrize(
    "code, machine, word, exit_code",
    [(1.0, 1.0, "same", 0), (1.0, 2.0, "same", 0), (1.5, 2.0, "slower", 1), (0.5, 2.0, "faster", 0)],
)
def test_files_are_compared_relative_to_their_machine(code, machine, word, exit_code, files, capsys):
    assert compare(*files(code, machine)) == exit_code
    row, *notes = (
        line for line in capsys.readouterr().out.splitlines() if line and not line.startswith(("cell", "--"))
    )
    assert row.startswith(str(CELL)) and row.endswith(word)
    assert float(row.split("×")[0].split()[-1]) == pytest.approx(1 / code, rel=0.02)
    assert any("relative to the reference workload" in line for line in notes)


def test_files_without_a_reference_are_compared_as_they_are(files, capsys):
    assert compare(*files(1.0, 2.0, reference_seconds=())) == 1
    assert "no reference workload" in capsys.readouterr().out
    old = str(DATA / "result_schema_1.json")
    assert compare(old, str(DATA / "result_schema_2.json")) in (0, 1)  # two real runs on a busy machine
    text = capsys.readouterr().out
    assert "no reference workload" in text and "revision fc4006323376" in text and text.count("mlp on cpu(0)") == 2
    assert compare(old, old) == 0


def test_options_choose_among_the_cells_of_files(files, capsys):
    assert compare(*files(1.5), "--threshold", "60%") == 0
    assert compare(*files(1.5), "--models", "ml*", "--batch-sizes", "100") == 1
    capsys.readouterr()
    assert compare(*files(1.5), "--phases", "infer") == 2
    assert "have no cell in common" in capsys.readouterr().err


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """This project's zoo in two revisions: the later one copies all images for every batch."""
    top = tmp_path_factory.mktemp("repository")

    def git(*arguments: str) -> None:
        user = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", top, *user, *arguments], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    (top / "notes").touch()
    git("add", ".")
    git("commit", "-m", "no zoo")
    git("tag", "empty")
    shutil.copytree(ROOT / "zoo", top / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    git("add", ".")
    git("commit", "-m", "fast")
    session = top / "zoo" / "training" / "session.py"
    text = session.read_text()
    place = "            self.set_learning_rate(next(rates))\n"
    assert text.count(place) == 1
    session.write_text(text.replace(place, f"            [images.copy() for images in self.data.images]\n{place}"))
    git("commit", "-am", "slow")
    return top


@pytest.fixture
def left_behind(tmp_path: Path, monkeypatch) -> Callable[[], list[Path]]:
    """The temporary folders that there are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: list(tmp_path.iterdir())


def test_revisions_are_compared_in_turns(repository: Path, monkeypatch, capsys, left_behind):
    monkeypatch.chdir(repository / "zoo" / "data")  # revisions are of the whole repository
    quick = ("--models", "mlp", "--phases", "train", "--dtypes", "float32", "--contexts", "cpu", "--seconds", "1",
             "--pairs", "4", "--data", "synthetic", "--plant", "300%", "900%")  # fmt: skip
    assert compare("HEAD~1", "HEAD", *quick) == 1
    text = capsys.readouterr().out
    assert "  slower" in text.splitlines()[2] and "A is HEAD~1 (" in text and "the reference workload" in text
    *_, measured, planted, more = (line.split() for line in text.splitlines())
    assert measured[-4:] == ["slower", "1", "of", "1"] and measured[-5] == "train"
    assert planted[-5:] == ["300%", "slower", "1", "of", "1"] and more[-5:] == ["900%", "slower", "1", "of", "1"]
    assert left_behind() == []


def test_ctrl_c_leaves_nothing_behind(repository: Path, monkeypatch, left_behind):
    def interrupted(side) -> None:
        assert len(left_behind()) == 2
        raise KeyboardInterrupt

    monkeypatch.chdir(repository)
    monkeypatch.setattr(Side, "ready", interrupted)
    assert compare("HEAD", "HEAD", "--data", "synthetic", "--models", "mlp") == 130
    assert left_behind() == []
    listed = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_what_is_no_revision_is_refused(repository: Path, tmp_path: Path, monkeypatch, capsys, files):
    monkeypatch.chdir(repository)
    for names, words in (
        (("HEAD", "nosuch"), "'nosuch' is neither a file nor a revision"),
        (("HEAD", "--", "-x"), "'-x' is neither"),
        (("none.json", "HEAD"), "'none.json' is neither a file"),
        (("empty", "HEAD"), "has no package zoo"),
        (("HEAD", files()[0]), "two files or two revisions"),
        ((files()[0], str(ROOT / "README.md")), "README.md is not a result file"),
        (("HEAD", "HEAD", "--calibrate", "0"), "--calibrate must be at least 1"),
        (("HEAD", "HEAD", "--pairs", "2"), "--pairs must be at least 3"),
    ):
        assert compare(*names) == 2
        (sentence,) = capsys.readouterr().err.splitlines()
        assert sentence.startswith("error: ") and words in sentence
    monkeypatch.chdir(tmp_path)
    assert compare("HEAD", "HEAD~1") == 2
    assert "is not in a git repository" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compare("HEAD", "HEAD~1") == 2
    assert "there is no git here" in capsys.readouterr().err


def test_changes_that_are_not_committed_are_mentioned(repository: Path, monkeypatch):
    monkeypatch.chdir(repository)
    assert not revisions.has_changes()
    (repository / "notes").write_text("changed")
    assert revisions.has_changes()
    subprocess.run(["git", "checkout", "notes"], check=True, capture_output=True)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["HEAD"], "required: B"),
        (["HEAD", "HEAD", "--threshold", "x"], "invalid percent value: 'x'"),
        (["HEAD", "HEAD", "--plant", "0"], "0 is not above 0%"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str], words: str, capsys):
    with pytest.raises(SystemExit) as end:
        compare(*arguments)
    assert end.value.code == 2 and words in capsys.readouterr().err
