"""``python -m bench report``: the page holds what the files hold, all of it, and nothing from anywhere else."""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import assert_refused
from reports import CEILINGS, CELL, NASTY, Tree, a_run, environment, everything, history, outcome, peers, write

from bench import results
from bench.cells import Outcome
from bench.cli import report
from bench.report import inputs, page
from bench.report.intensity import intensity
from bench.report.parts import Section
from bench.results import Run
from zoo.errors import DataError, ZooError

# matplotlib's dependencies may be newer than matplotlib itself; that does not matter here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A page with every section, as the command writes it, with its plots beside it."""
    folder = tmp_path_factory.mktemp("report")
    command = [sys.executable, "-m", "bench", "report", *everything(folder), "--out", folder / "page.html"]
    done = subprocess.run([*command, "--plots", folder / "plots"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder / 'page.html'}: throughput, share of the ceiling") and not done.stderr
    return folder / "page.html"


def test_the_page_is_whole_and_needs_nothing_else(made: Path):
    text = made.read_text()
    tree = Tree(text)
    names = [attributes["id"] for attributes in tree.all("section")]
    assert names == ["throughput", "roofline", "scaling", "peers", "accuracy", "revisions", "environment"]
    assert [each["href"] for each in tree.all("a")] == [f"#{name}" for name in names]
    for attributes in tree.all("img", "source", "link", "script", "iframe"):
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", text))


def test_plots_are_there_in_light_and_dark_and_as_files(made: Path):
    tree = Tree(made.read_text())
    light, dark = tree.all("img"), tree.all("source")
    assert len(light) == len(dark) == 6 and all(each["media"] == "(prefers-color-scheme: dark)" for each in dark)
    embedded = [base64.b64decode(each.split(",")[1]) for pair in zip(light, dark) for each in
                (pair[0]["src"], pair[1]["srcset"])]  # fmt: skip
    assert len(set(embedded)) == 12 and all(content.startswith(b"\x89PNG") for content in embedded)
    assert all(len(each["alt"]) > 30 for each in light)
    files = sorted((made.parent / "plots").iterdir())
    assert {path.read_bytes() for path in files} == set(embedded)
    assert [path.name for path in files[:2]] == [
        "accuracy-validation-accuracy-dark.png",
        "accuracy-validation-accuracy.png",
    ]


def test_what_files_say_is_text_and_no_markup(made: Path):
    text = made.read_text()
    assert NASTY in html.unescape(text) and "<script>alert" not in text
    assert len(Tree(text).all("script")) == 1


def tables(section: Section) -> list[list[list[str]]]:
    return [[[text for text, _ in row] for row in table.cells] for group in section.groups for table in group.tables]


def shown(*paths: Path) -> dict[str, Section]:
    return {section.name: section for section in page.sections(inputs.read(paths))}


def test_figures_follow_from_the_files(tmp_path: Path):
    sections = shown(*everything(tmp_path))
    (throughput,) = tables(sections["throughput"])
    rates = {(row[0], row[3]): row[5] for row in throughput}
    assert rates == {("mlp", "100"): "2,500", ("mlp", "32"): "1,000", ("gone", "100"): "500"}  # the newest, all threads
    (scaling,) = tables(sections["scaling"])
    assert [row[4:] for row in scaling] == [["1", "1,250", "1.00×", "100%"], ["2", "2,500", "2.00×", "100%"]]
    (roofline,) = tables(sections["roofline"])
    assert {tuple(row[2:4]): row[5:] for row in roofline} == {
        ("100", "train"): ["2.5", "5.00%"], ("32", "train"): ["1.0", "2.00%"]
    }  # fmt: skip
    (accuracy,) = tables(sections["accuracy"])
    assert accuracy[0][0] == "runs" and accuracy[0][-5:] == ["20.0", "98.50%", "20.0", "20.0", "20.0"]
    (revisions,) = tables(sections["revisions"])
    assert [row[5:7] + row[8:] for row in revisions] == [
        ["fc4006323376", "2,000", "+0.0%"], ["abcdef123456+", "2,500", "+25.0%"]
    ]  # fmt: skip
    targets, sides = tables(sections["peers"])
    assert targets[0][4:] == ["2.00×", "2.00 to 2.00", "1.5×", "met"] and targets[1][4:] == [
        "",
        "",
        "1.0×",
        "not installed",
    ]
    assert [row[2] for row in sides] == ["100", "50", ""] and sides[2][-1] == "not installed"
    alike, different = tables(sections["environment"])
    assert ["python", "x"] in alike and len(different) == 4 and different[1][:2] != different[0][:2]


def test_arithmetic_intensity():
    numbers = 100 * (784 + 128) + 100_480, 100 * (128 + 10) + 1290  # images in and out, and weights, of two layers
    flops = 2 * 784 * 128, 2 * 128 * 10
    assert intensity(replace(CELL, phase="infer")) == pytest.approx(100 * sum(flops) / (4 * sum(numbers)))
    training = (2 * flops[0] + 3 * flops[1]) * 100 / (2 * (2 * numbers[0] + 3 * numbers[1]))
    assert intensity(replace(CELL, dtype="bfloat16")) == pytest.approx(training)


PLAIN = a_run({CELL: 1}, ceilings=())


@pytest.mark.parametrize(
    "contents, expected",
    [
        ({"a": a_run({CELL: 1})}, {"throughput", "roofline", "environment"}),
        ({"a": PLAIN}, {"throughput", "environment"}),
        ({"a": a_run({CELL: 1}, ceilings=CEILINGS[:2])}, {"throughput", "environment"}),
        ({"a": a_run({replace(CELL, context="gpu(0)"): 1}, gpus=["A GPU"])}, {"throughput", "environment"}),
        ({"a": a_run({replace(CELL, model="gone"): 1})}, {"throughput", "environment"}),
        ({"a": PLAIN, "b": a_run({CELL: 2}, (), threads=4)}, {"throughput", "scaling", "environment"}),
        ({"a": PLAIN, "b": a_run({CELL: 2}, (), threads=4, processor="B")}, {"throughput", "environment"}),
        ({"a": PLAIN, "b": a_run({CELL: 2}, (), revision="b")}, {"throughput", "revisions", "environment"}),
        ({"a": PLAIN, "b": a_run({CELL: 2}, (), revision=None)}, {"throughput", "environment"}),
        ({"a": peers()}, {"peers", "environment"}),
        ({"a": history(0.9), "b": history(0.9, 1.0)}, {"accuracy"}),
        ({"a": history(None)}, set()),
        ({"a": history()}, set()),
    ],
)  # fmt: skip
def test_a_section_is_there_exactly_when_its_data_are(contents: dict, expected: set, tmp_path: Path):
    sections = shown(*write(tmp_path, **contents))
    assert set(sections) == expected
    for section in sections.values():
        assert section.text and any(group.plots or group.tables for group in section.groups)


def test_machines_are_told_apart_and_one_batch_size_is_no_curve(tmp_path: Path):
    one, other = a_run({CELL: 1}), a_run({CELL: 2, replace(CELL, batch_size=200): 3}, processor="B", threads=8)
    groups = shown(*write(tmp_path, a=one, b=other))["throughput"].groups
    assert [(group.title, len(group.plots)) for group in groups] == [("A Processor, 2 threads", 0), ("B, 8 threads", 1)]


def test_failed_cells_say_why(tmp_path: Path):
    run = Run(environment(), (), (outcome(CELL, 1), Outcome(replace(CELL, dtype="int8"), error="out of memory")))
    (table,) = tables(shown(*write(tmp_path, a=run))["throughput"])
    assert table[1][5] == "failed" and [row[-1] for row in table] == ["", "out of memory"]


def test_folders_of_results_and_of_training(tmp_path: Path):
    results.add_to_history(tmp_path, a_run({CELL: 1}))
    results.add_to_history(tmp_path, a_run({CELL: 2}, revision="b", date="2026-11-20T11:39:29+00:00"))
    write(tmp_path, trained=history(0.9))
    read = inputs.read([tmp_path, tmp_path / "trained"])
    assert [run.revision for run in read.runs] == ["b", "fc4006323376"]  # the oldest first
    assert [training.name for training in read.trainings] == ["trained"]
    (tmp_path / "damaged.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged.json"):
        assert len(inputs.read([tmp_path]).runs) == 2


def _changed(content: dict, *keys: object, to: object) -> dict:
    """``content`` as JSON, with another value at the end of ``keys``."""
    changed = json.loads(json.dumps(content))
    place = changed
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return changed


@pytest.mark.parametrize(
    "content, words",
    [
        ([], "no results of python -m bench"),
        ({"nodes": []}, "no results of python -m bench"),
        (
            _changed(results.document(a_run({CELL: 1})), "environment", "threads", to="two"),
            "its environment.threads",
        ),
        (_changed(results.document(a_run({CELL: 1})), "environment", "kernels", to=[]), "its environment.kernels"),
        (_changed(results.document(a_run({CELL: 1})), "results", 0, "cell", "batch_size", to=0), "batch of at least 1"),
        (_changed(peers(), "targets", 0, "interval", to=None), "a ratio without an interval"),
        (_changed(peers(), "works", 0, "sides", 0, "rounds", 0, "seconds", to=0), "rounds above 0"),
        (_changed(peers(), "works", 0, "sides", 0, "check", to=None), "no complete check"),
        (_changed(peers(), "environment", "processor", to=None), "its environment.processor"),
        (_changed(peers(), "works", to=1), "should be a list"),
        (_changed(json.loads(history(0.9).to_json()), "records", 0, "validation_accuracy", to=2), "between 0 and 1"),
        (_changed(json.loads(history(0.9).to_json()), "records", 0, "seconds", to=0), "more than 0 s"),
        (_changed(json.loads(history(0.9).to_json()), "recipe", "batch_size", to=0), "batch_size must be at least 1"),
    ],
)
def test_damaged_files_are_refused_by_name(content: object, words: str, tmp_path: Path):
    (path,) = write(tmp_path, damaged=content)
    with pytest.raises(DataError, match=f"damaged.json .*{words}"):
        inputs.read([path])


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["good.json", "nothing.json"], "cannot read .*nothing.json: No such file"),
        (["empty"], "empty holds neither results of python -m bench nor a history.json"),
        (["good.json", "--out", "good.json"], "good.json is one of the files to read"),
        (["good.json", "--out", "empty"], "cannot write empty: it is a directory"),
        (["good.json", "--plots", "good.json"], "cannot write into good.json"),
        (["epochs/history.json"], "nothing to show"),
    ],
)
def test_mistakes_leave_everything_as_it_was(arguments: list[str], words: str, tmp_path: Path, monkeypatch):
    write(tmp_path, good=a_run({CELL: 1}), epochs=history())
    (tmp_path / "empty").mkdir()
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    with pytest.raises(ZooError, match=words):
        report.run(parser.parse_args(arguments))
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_half_a_file_gets_one_sentence(run, tmp_path: Path):
    (path,) = write(tmp_path, half=a_run({CELL: 1}))
    path.write_text(path.read_text()[:200])
    assert_refused(
        run("bench", "report", path, "--out", tmp_path / "page.html"), "half.json is not a result file, or is damaged"
    )


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_what_pages_are_made_with_may_be_missing(package: str, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ZooError, match=rf"a report needs {package}.*pip install '\.\[report\]'"):
        page.check()


PROBE = """<iframe width="390" height="800" srcdoc="PAGE"></iframe><output></output><script>
onload = () => {
  const view = frames[0], page = view.document, said = [];
  const header = [...page.querySelectorAll("#throughput th")].find((each) => each.textContent === "images/s");
  const column = () => [...page.querySelectorAll("#throughput tbody tr")].map((row) => row.cells[5].textContent);
  for (const click of [false, true, true]) {
    if (click) header.querySelector("button").click();
    said.push([header.getAttribute("aria-sort"), ...column()]);
  }
  const loaded = [...page.images].every((image) => image.complete && image.naturalWidth > 0);
  const dark = page.images[0].currentSrc !== page.images[0].src;
  const widths = [page.documentElement.scrollWidth, Math.max(...[...page.images].map((each) => each.width))];
  document.querySelector("output").textContent = JSON.stringify({said, loaded, dark, widths});
};
</script>"""


@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_of_a_phone_s_width(dark: bool, made: Path, tmp_path: Path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium or Chrome here")
    probe = tmp_path / "probe.html"
    probe.write_text(PROBE.replace("PAGE", html.escape(made.read_text())))
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               f"--blink-settings=preferredColorScheme={int(not dark)}", "--virtual-time-budget=5000")  # fmt: skip
    done = subprocess.run([browser, *options, "--dump-dom", probe.as_uri()], capture_output=True, text=True, timeout=99)
    (output,) = re.findall("<output>(.+?)</output>", done.stdout)
    seen = json.loads(output)
    assert seen["said"] == [
        [None, "2,500", "1,000", "500"], ["ascending", "500", "1,000", "2,500"], ["descending", "2,500", "1,000", "500"]
    ]  # fmt: skip
    assert seen["loaded"] and seen["dark"] == dark and max(seen["widths"]) <= 390
