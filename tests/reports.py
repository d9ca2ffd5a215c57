"""Result files and histories to make pages of, and how to read a page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import zoo
from bench import results
from bench.cells import ARITHMETIC, Ceiling, Cell, Measurement, Outcome, Round
from bench.peers import tables as peer_tables
from bench.peers import works
from bench.peers.comparison import Rounds
from bench.peers.results import Result, judge
from bench.results import Run
from bench.sides.checks import Check
from zoo.training.history import EpochRecord, History

CELL = Cell("mlp", "cpu(0)", "float32", 100, "train")
CEILINGS = (Ceiling("float32", 50.0, ARITHMETIC), Ceiling("int8", None, "no unit"), Ceiling("read", 9.0, "512 MiB"))
NASTY = "<script>alert(1)</script> & \"Xeon\" 'n'"


def environment(**facts: object) -> dict:
    names = ("mxnet", "python", "numpy")
    date, revision = "2026-11-22T11:39:29+00:00", "fc4006323376"
    known = {"processor": "A Processor", "threads": 2, "cpus_usable": 2, "gpus": [], "date": date, "revision": revision}
    return {**dict.fromkeys(names, "x"), **known, **facts}


def outcome(cell: Cell, rate: float) -> Outcome:
    """A measurement of ``rate`` images a second."""
    rounds = tuple(Round(1000, 1000 / rate / factor) for factor in (0.8, 0.9, 1.0, 1.1, 1.2))
    return Outcome(cell, Measurement(rounds, (0.05,) * 5, None, 60_000, 321.0, 10**6, 3, True, "here"))


def a_run(rates: Mapping[Cell, float], ceilings=CEILINGS, **facts: object) -> Run:
    return Run(environment(**facts), ceilings, tuple(outcome(cell, rate) for cell, rate in rates.items()))


def history(*accuracies: float | None) -> History:
    records = [EpochRecord(n, 0.1, 1.0, 0.9, None, each, 10.0) for n, each in enumerate(accuracies, 1)]
    return History(zoo.Recipe(dtype="float32"), "here", ("cpu(0)",), 2, tuple(records), 1, "finished")


def peers() -> dict:
    """What ``python -m bench peers --json`` writes: this project twice as fast as one other, another not installed."""
    work = works.Work("infer", "mlp", 100)
    ours, theirs = (
        works.Configuration("this project, float32", "ours"),
        works.Configuration("PyTorch float32", "pytorch"),
    )
    absent = works.Configuration("ONNX Runtime float32", "onnx_runtime")

    def side(seconds: float) -> dict:
        return {"rounds": (Round(100, seconds),) * 5, "check": Check("float32", 1e-6, 1.0), "others": (0.0,) * 5}

    sides = [Result(ours, **side(1.0)), Result(theirs, **side(2.0)), Result(absent, error="not installed")]
    targets = [works.Target(work, "PyTorch", "PyTorch *", 1.5, 3.0), works.Target(work, "ONNX", "ONNX *", 1.0)]
    rows = [judge(target, sides) for target in targets]
    return peer_tables.document(rows, {work: sides}, Rounds(5, 1.0), environment(), "here")


def write(folder: Path, **contents: object) -> list[Path]:
    """Write files named after the arguments, and a history in its own folder."""
    paths = []
    for name, content in contents.items():
        path = folder / f"{name}.json"
        if isinstance(content, History):
            path = folder / name / "history.json"
            path.parent.mkdir(exist_ok=True)
        text = (
            content.to_json()
            if isinstance(content, History)
            else json.dumps(results.document(content) if isinstance(content, Run) else content)
        )
        path.write_text(text)
        paths.append(path)
    return paths


def everything(folder: Path) -> list[Path]:
    other = replace(CELL, batch_size=32)
    return write(
        folder,
        first=a_run({CELL: 2000, other: 1000, replace(CELL, model="gone"): 500}, processor=NASTY),
        later=a_run({CELL: 2500}, processor=NASTY, revision="abcdef123456+", date="2026-11-23T11:39:29+00:00"),
        narrow=a_run({CELL: 1250}, processor=NASTY, threads=1),
        peers=peers(),
        runs=history(0.9, 0.985),
    )


class Tree(HTMLParser):
    """Elements with their attributes and the text of tables, of a document whose tags are all closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "source"):
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"th", "td"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def all(self, *tags: str) -> list[dict]:
        return [attributes for tag, attributes in self.elements if tag in tags]
