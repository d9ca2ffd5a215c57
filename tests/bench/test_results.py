"""Result files: they are read back, older schemas too, and files of another kind are refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, assert_refused

from bench import results
from bench.cells import Ceiling, Cell, Measurement, Outcome, Round
from bench.results import Run
from zoo.errors import DataError

DATA = ROOT / "tests/fixtures"  # written by revisions of this project that had these schemas
CELL = Cell("mlp", "cpu(0)", "float32", 100, "train")


def a_run(date: str = "2026-11-22T11:39:29+00:00", revision: str | None = "fc4006323376") -> Run:
    names = ("processor", "mxnet", "python", "numpy")
    environment = {**dict.fromkeys(names, "x"), "gpus": [], "date": date, "revision": revision}
    environment |= {"threads": 2, "cpus_usable": 2}
    rounds = tuple(Round(1000, 0.5 + number / 10, 0.9) for number in range(5))
    measurement = Measurement(rounds, (0.05,) * 5, None, 60_000, 321.0, 10**7, 3, True, "here", (0.02,) * 5)
    outcomes = (Outcome(CELL, measurement), Outcome(replace(CELL, batch_size=512), error="out of memory"))
    cached = Ceiling("read", 9.0, "512 MiB in memory", 0.01, "2026-11-20T08:00:00+00:00")
    ceilings = (Ceiling("float32", 50.0, "x", 0.2), Ceiling("int8", None, "no unit"), cached)
    return Run(environment, ceilings, outcomes, left_out=("cnn7 on cpu(0), float32, batch 1, infer",))


def test_what_is_saved_is_loaded_again(tmp_path: Path):
    results.save(tmp_path / "a.json", a_run())
    loaded = results.load(tmp_path / "a.json")
    assert loaded == a_run()
    assert loaded.date.isoformat() == "2026-11-22T11:39:29+00:00" and loaded.revision == "fc4006323376"
    assert list(loaded.measured) == [CELL]


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_older_schemas_are_read(schema: int):
    path = DATA / f"result_schema_{schema}.json"
    written, run = json.loads(path.read_text()), results.load(path)
    assert written["schema"] == schema and run.environment == written["environment"]
    assert [each.cell.phase for each in run.results] == ["train", "infer"] and len(run.measured) == 2
    assert len(run.ceilings) == (0 if schema == 1 else 3)
    for outcome, raw in zip(run.results, written["results"]):
        measurement = outcome.measurement
        assert [[each.images, each.seconds] for each in measurement.rounds] == [
            [each["images"], each["seconds"]] for each in raw["measurement"]["rounds"]
        ]
        assert measurement.memory_mib == raw["measurement"]["memory_mib"]
        if schema < 3:
            assert measurement.reference_seconds == () and {each.cpu_seconds for each in measurement.rounds} == {None}
    assert {each.cached for each in run.ceilings} <= {None} and run.left_out == ()
    assert results.parse(results.document(run)) == run


def _with(change) -> str:
    raw = json.loads(json.dumps(results.document(a_run())))
    change(raw)
    return json.dumps(raw)


def _measurement(**values):
    return lambda raw: raw["results"][0]["measurement"].update(values)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "line 1"),
        (_with(lambda raw: None)[:-200], "not valid JSON: Unterminated string"),
        ("[1, 2]", "no results"),
        ('{"benchmarks": []}', "no results"),
        (_with(lambda raw: raw.pop("results")), "no results"),
        (_with(lambda raw: raw.update(schema=results.SCHEMA + 1)), f"its schema {results.SCHEMA + 1} is of a newer"),
        (_with(lambda raw: raw.update(schema="3")), "its schema should be a number from 1"),
        (_with(lambda raw: raw.pop("schema")), "not None"),
        (_with(lambda raw: raw.update(schema=2, results=[{"measurement": 7}])), "not what schema 2 describes"),
        (_with(lambda raw: raw.update(results={})), "results should be a list"),
        (_with(lambda raw: raw.update(extra=1)), "unknown field extra"),
        (_with(lambda raw: raw["environment"].pop("revision")), "lacks revision"),
        (_with(lambda raw: raw["environment"].update(date="yesterday")), "not 'yesterday'"),
        (_with(lambda raw: raw["environment"].update(gpus=1)), "its environment.gpus should be a list, not 1"),
        (_with(lambda raw: raw["environment"].update(gpus=[1])), "gpus[0] should be str, not 1"),
        (_with(lambda raw: raw["environment"].update(threads=0)), "threads should be at least 1, not 0"),
        (_with(lambda raw: raw["ceilings"][0].update(rate=1e-320)), "its ceiling of float32 should be 1e-12 to 1e+12"),
        (_with(lambda raw: raw["results"][0]["cell"].update(batch_size=2**63)), "at most 63 bits, not of 64"),
        (_with(_measurement(flops_per_image=-1)), "has -1 operations for an image"),
        (_with(_measurement(data=json.loads("[" * 80 + "]" * 80))), "more than 64 objects or lists lie inside"),
        (_with(lambda raw: raw["results"][1]["cell"].update(model="a\nb", batch_size=0)), "a b on cpu(0)"),
        (_with(lambda raw: raw.update({"x" * 9999: 1})), "xxx…"),
        (_with(lambda raw: raw["ceilings"][2].update(cached="last week")), "not 'last week'"),
        (_with(lambda raw: raw["environment"].update(revision="../x")), "not '../x'"),
        (_with(lambda raw: raw["results"][0]["cell"].update(batch_size="100")), "results[0].cell.batch_size"),
        (_with(lambda raw: raw["results"][0].update(measurement=None)), "either a measurement or an error"),
        (_with(_measurement(rounds=[])), "has no samples"),
        (_with(_measurement(steady=1)), "should be bool, not 1"),
        (_with(_measurement(memory_mib=float("nan"))), "not a finite number"),
        (_with(_measurement(batch_seconds=[0.0])), "samples that are not 1e-12 to 1e+12"),
        (_with(lambda raw: raw["results"][0]["measurement"].pop("data")), "lacks data"),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_refused(text: str, words: str, tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError) as refusal:
        results.load(path)
    assert str(path) in str(refusal.value) and words in str(refusal.value) and "\n" not in str(refusal.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path):
    (tmp_path / "a.json").write_bytes(b"\x93NUMPY\xff")
    for path in (tmp_path / "a.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            results.load(path)


def test_a_history_keeps_every_run_and_leaves_out_damaged_files(tmp_path: Path):
    later = "2026-11-23T00:00:00+00:00"
    first = [results.add_to_history(tmp_path, a_run(later, None)) for _ in range(2)]
    entry = results.add_to_history(tmp_path, a_run())
    assert results.add_to_history(tmp_path, a_run(), entry) == entry
    assert entry.name == "2026-11-22T113929Z-fc4006323376.json" and len({*first, entry}) == 3
    (tmp_path / "old.json").write_bytes((DATA / "result_schema_1.json").read_bytes())
    (tmp_path / "broken.json").write_text('{"schema": 3')
    with pytest.warns(UserWarning, match="left out: .*broken.json"):
        history = results.load_history(tmp_path)
    assert len(history) == 4 and [run.date for run in history] == sorted(run.date for run in history)
    assert history[-1] == a_run(later, None)


def test_a_history_is_a_folder(run_here, tmp_path: Path):
    path = tmp_path / "history.json"
    path.write_text("{}")
    assert_refused(run_here("bench", "--history", path), f"cannot write into {path}")
