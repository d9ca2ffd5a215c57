"""``python -m bench --profile``: the operators that a cell runs, one by one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import details
from bench.cells import Cell, Operator, Profile
from bench.sides import runner
from zoo import kernels


@pytest.mark.parametrize(
    "cell, operator",
    [
        (Cell("mlp", "cpu(0)", "float32", 100, "train"), "zoo_whole_step"),
        # Its graph has no static shapes; MXNet runs the operators of such graphs in bulk in another way.
        (Cell("lenet5", "cpu(0)", "int8", 20, "infer"), "_sg_mkldnn_fully_connected"),
    ],
)
def test_operators_come_one_by_one_and_all_in_the_trace(cell: Cell, operator: str, tmp_path: Path):
    path = tmp_path / "trace.json"
    profile = runner.profile(cell, "synthetic", path)
    assert profile.error is None and profile.trace == str(path)
    calls = {each.name: each.calls for each in profile.operators}
    if cell.phase == "train":
        ran = {name: count for name, count in calls.items() if name.startswith(("zoo_", "_backward"))}
        assert not kernels.available().usable or ran == {operator: profile.batches}
    else:
        assert calls[operator] == 2 * profile.batches
    assert not any("," in name or "Bulk" in name for name in calls)
    assert [each.seconds for each in profile.operators] == sorted((e.seconds for e in profile.operators), reverse=True)
    assert profile.operator_seconds > 0 and profile.seconds > 0

    events = json.loads(path.read_text())["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    assert len(complete) == sum(calls.values()) and min(event["ts"] for event in complete) == 0
    assert sum(event["dur"] for event in complete) / 1e6 == pytest.approx(profile.operator_seconds)
    (name,) = (event["args"]["name"] for event in events if event["ph"] == "M")
    assert name == "cpu/0" and {event["pid"] for event in events} == {0}


def test_a_profile_that_fails_leaves_no_file(tmp_path: Path):
    failed = runner.profile(Cell("nosuch", "cpu(0)", "float32", 10, "infer"), "synthetic", tmp_path / "trace.json")
    assert "there is no model 'nosuch'" in failed.error and not list(tmp_path.iterdir())
    assert "failed: operators of nosuch on cpu(0)" in details.render([], [failed], "simple")


def test_the_table_sums_up_small_operators():
    operators = tuple(Operator(f"op{number}", 10, 1.0 / 2**number) for number in range(20))
    cell = Cell("mlp", "cpu(0)", "float32", 100, "train")
    text = details.render([], [Profile(cell, operators, 10, 2.5, "mlp.json")], "github")
    title, header, _, *rows = text.splitlines()
    assert title == f"operators of {cell}: 10 batches in 2.50 s, every call in mlp.json"
    cells = [[each.strip() for each in row.split("|")[1:-1]] for row in (header, *rows)]
    assert cells[:2] == [
        ["operator", "calls", "total ms", "share", "mean µs"],
        ["op0", "10", "1,000.00", "50.0%", "100,000"],
    ]
    assert cells[-1][:2] == ["8 others", "80"] and len(cells) == 14


def test_every_cell_has_a_file_of_its_own():
    cells = [Cell("mlp", context, "float32", 10, phase) for context in ("cpu(0)", "cpu(0),cpu(1)") for phase in "ab"]
    assert len({cell.slug for cell in cells}) == 4
    assert cells[2].slug == "mlp-cpu0-cpu1-float32-10-a"
