"""Damaged and hostile JSON: whatever one value becomes, there is a result or one sentence, and never a traceback."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from reports import CELL, a_run, history, outcome, peers

from bench import cli as bench_cli
from bench import results
from bench.cells import Ceiling, Cell, Outcome
from bench.report import page
from bench.results import Run, document
from zoo import cli as zoo_cli
from zoo.training.history import Command, Score

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DEEP = 3000
VALUES = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus one": "-1",
    "2^200": str(2**200),
    "2^62": str(2**62),
    "10^400": str(10**400),
    "5,000 digits": "9" * 5000,
    "tiny": "1e-320",
    "huge": "1e308",
    "NaN": "NaN",
    "infinity": "1e999",
    "empty text": '""',
    "text": '"x"',
    "surrogate": r'"\udcff"',
    "control characters": r'"a\n\r\u001b[2J\u0000\u2028"',
    "formula": r'"$\\frac{$"',
    "long text": f'"{"long" * 25_000}"',
    "many lines": '"' + r"\n" * 10_000 + '"',
    "early": '"0001-01-01T00:00:00+23:59"',
    "empty list": "[]",
    "list": "[1]",
    "list of lists": '[["x"], {"a": null}]',
    "empty object": "{}",
    "object": '{"a\\n": [1], "": {}}',
    "deep lists": "[" * DEEP + "]" * DEEP,
    "deep objects": '{"a":' * DEEP + "0" + "}" * DEEP,
    "deep enough": '{"a":' * 50 + "0" + "}" * 50,
}
_MARK = "the value to replace"


def a_result() -> dict:
    cells = (CELL, replace(CELL, batch_size=32), Cell("cnn7", "cpu(0)", "bfloat16", 200, "infer"))
    ceilings = [
        Ceiling(of, 9.0, "as it is", 0.1, "2026-11-20T08:00:00+00:00") for of in ("float32", "bfloat16", "read")
    ]
    facts = {"kernels": {"usable": True, "convolution": True, "reason": None}, "settings": {"OMP_NUM_THREADS": "2"}}
    more = {"epoch_run_seconds": 9.0, "reference_seconds": (0.1,) * 5}
    measured = [
        replace(each, measurement=replace(each.measurement, **more)) for each in (outcome(cell, 1000) for cell in cells)
    ]
    failed = Outcome(replace(CELL, dtype="int8"), error="out of memory")
    run = Run(a_run({}, **facts, amx=True, load_average=0.5).environment, tuple(ceilings), (*measured, failed))
    return document(replace(run, left_out=("cnn7",)))


def a_history() -> dict:
    score = Score(100, 1, 0.99, 0.1)
    command = Command("zoo train", "2026-11-22T11:39:29+00:00", "mlp", None, "here", "it", None, 100, 10, None, score)
    return asdict(replace(history(0.9, 0.98), command=command))


DOCUMENTS = {"result": a_result, "peers": peers, "history": a_history}


def places(value: object, *before: object) -> Iterator[tuple]:
    """Where values lie in ``value``, itself included; of each list, only the first one."""
    yield before
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, *before, key)
    elif isinstance(value, (list, tuple)) and value:
        yield from places(value[0], *before, 0)


def damaged(whole: object, place: tuple, value: str) -> str:
    """Return ``whole`` as JSON with ``value``, which is JSON, at ``place``."""
    if not place:
        return value
    changed = json.loads(json.dumps(whole))
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = _MARK
    return json.dumps(changed).replace(json.dumps(_MARK), value)


def check(command: list[object], path: Path, capsys) -> None:
    """Run ``command``: it works and says nothing else, or refuses ``path`` in one sentence."""
    main = {"bench": bench_cli.main, "zoo": zoo_cli.main}[command[0]]
    code = main(list(map(str, command[1:])))
    printed = capsys.readouterr()
    if code == 2:
        (sentence,) = printed.err.splitlines()
        assert sentence.startswith("error: ") and len(sentence) < 1000 and not printed.out
        assert str(path) in sentence or "nothing to show" in sentence
    else:
        assert code == 0 or (code == 1 and command[1] == "compare" and "slower" in printed.out)
        assert not printed.err and printed.out


def commands(kind: str, path: Path, whole: Path) -> list[list[object]]:
    found = [["bench", "report", path, "--out", path.with_name("page.html")]]
    if kind != "history":
        found.append(["bench", "report", path, whole, "--out", path.with_name("page.html")])
    if kind == "result":
        found += [["bench", "compare", whole, path], ["zoo", "list", "mlp*", "--bench", path]]
    return found


def survive(cases: list[tuple[str, tuple, str]], folder: Path, capsys) -> None:
    """Run every command on each document with a value replaced; fail with all that went wrong."""
    wholes = {kind: make() for kind, make in DOCUMENTS.items()}
    for kind, whole in wholes.items():
        (folder / f"{kind}.json").write_text(json.dumps(whole))
    path, failures = folder / "hostile.json", []
    for kind, place, name in cases:
        path.write_text(damaged(wholes[kind], place, VALUES[name]))
        for command in commands(kind, path, folder / f"{kind}.json"):
            try:
                check(command, path, capsys)
            except Exception as error:
                capsys.readouterr()
                failures.append(f"{' '.join(command[:2])}: {kind} {place} {name}: {type(error).__name__} {error}"[:300])
    assert not failures, f"{len(failures)} of {len(cases)}:\n" + "\n".join(failures)


ALL = [(kind, place, name) for kind, make in DOCUMENTS.items() for place in places(make()) for name in VALUES]


def test_every_field_survives_a_few_hostile_values(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(page, "png", lambda plot, theme: b"")  # drawing takes most of the time
    draw = random.Random(0)
    few = [case for _, each in itertools.groupby(ALL, lambda case: case[:2]) for case in draw.sample(list(each), 3)]
    survive(few, tmp_path, capsys)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", VALUES)
def test_every_field_survives_every_hostile_value(name: str, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(page, "png", lambda plot, theme: b"")
    survive([case for case in ALL if case[2] == name], tmp_path, capsys)


@pytest.mark.parametrize("name", ["formula", "long text", "control characters"])
def test_plots_take_any_text(name: str, tmp_path: Path, capsys):
    """Drawn for real: titles, labels and names of rows."""
    result, compared = a_result(), peers()
    text = json.loads(VALUES[name])
    for each in result["results"]:
        each["cell"]["model"] = each["cell"]["dtype"] = text
    compared["targets"][0].update(work=text, verdict=text)
    for stem, content in (("a", result), ("b", compared)):
        (tmp_path / f"{stem}.json").write_text(json.dumps(content))
    arguments = [
        tmp_path / "a.json",
        tmp_path / "b.json",
        "--out",
        tmp_path / "page.html",
        "--plots",
        tmp_path / "plots",
    ]
    assert bench_cli.main(["report", *map(str, arguments)]) == 0
    assert "collapsed" not in capsys.readouterr().err  # of axes, beside long names
    assert len(list((tmp_path / "plots").iterdir())) == 4  # of throughput and peers, in two themes


def test_plots_of_the_same_name_are_all_written(tmp_path: Path):
    cells = [Cell(model, "cpu(0)", "float32", size, "train") for model in ("a b", "a-b") for size in (1, 2)]
    (tmp_path / "a.json").write_text(json.dumps(document(a_run(dict.fromkeys(cells, 9.0), ceilings=()))))
    arguments = [tmp_path / "a.json", "--out", tmp_path / "page.html", "--plots", tmp_path / "plots"]
    assert bench_cli.main(["report", *map(str, arguments)]) == 0
    assert len(list((tmp_path / "plots").iterdir())) == 4


def test_more_rows_than_a_plot_can_have_are_refused(tmp_path: Path, capsys):
    compared = peers()
    compared["targets"] *= 5_000
    (tmp_path / "a.json").write_text(json.dumps(compared))
    check(["bench", "report", tmp_path / "a.json", "--out", tmp_path / "page.html"], tmp_path / "a.json", capsys)
    assert not (tmp_path / "page.html").exists()


IRREGULAR = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("make", IRREGULAR.values(), ids=IRREGULAR)
def test_what_is_no_file_is_not_waited_for(make: Callable[[Path], object], tmp_path: Path, capsys):
    path = tmp_path / "a.json"
    make(path)
    check(["bench", "report", path, "--out", tmp_path / "page.html"], path, capsys)
    check(["zoo", "list", "--bench", path], path, capsys)
    with pytest.warns(UserWarning, match="left out: cannot read .*a.json"):
        assert results.load_history(tmp_path) == []


def test_what_is_written_can_be_read_again_whatever_paths_are_called(tmp_path: Path, capsys):
    name = os.fsdecode(b"caf\xc3\xa9 \xff")
    whole = results.parse(a_result())
    failed = Outcome(CELL, error=f"cannot read {name}: no such file")
    results.save(tmp_path / "a.json", replace(whole, results=(*whole.results[1:], failed)))
    assert results.load(tmp_path / "a.json").results[-1].error == "cannot read café ?: no such file"
    (tmp_path / name).mkdir()
    (tmp_path / name / "history.json").write_text(json.dumps(a_history()))
    page_of_both = tmp_path / "page.html"
    assert bench_cli.main(["report", *map(str, (tmp_path / "a.json", tmp_path / name, "--out", page_of_both))]) == 0
    assert "café \N{REPLACEMENT CHARACTER}" in page_of_both.read_text()
