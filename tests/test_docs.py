"""The README and the manual: sizes, links, and that every command and every piece of code in them works."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT

import bench.cli
import zoo
import zoo.cli

README = ROOT / "README.md"
PAGES = sorted(ROOT.joinpath("docs").glob("*.md"))
TEXTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
EXAMPLES = sorted(ROOT.joinpath("docs", "examples").glob("*.py"))
COMMANDS = {"zoo": zoo.cli.COMMANDS, "bench": bench.cli.COMMANDS, "export": {}}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAID = {
    "compare_machines": r"mlp on cpu\(0\), float32, batch 200, infer .*\n(.*\n)*threads differs: 1 in A, 2 in B",
    "export_and_run": r"ONNX Runtime .* agrees\n(.*\n)*accuracy in ONNX Runtime: 99\.",
    "export_gluoncv": r"needs GluonCV: pip install .*portalocker|ONNX Runtime .* agrees",
    "fine_tune": r"before: 99\.1\d% clean, 5[34]\.\d\d% shifted\nafter: 9\d\.\d\d% clean, [78]\d\.\d\d% shifted",
    "notebook_module": r"5,000 images packed\nvalidation accuracy: [78]\d\.",
    "report_loop": r"epoch 1: validation accuracy [4-9]\d\.",
    "train_your_own": r"epoch 3: .*\ntest: 9[2-9]\..*\nbest epoch: \d, its weights are in my-network/best.params",
}  # patterns of what the examples print


def of(path: Path) -> str:
    """An id of a test."""
    return path.stem


def blocks(path: Path, *languages: str) -> list[str]:
    return [code for language, code in FENCE.findall(path.read_text()) if language in languages]


def execute(*command: object, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, env=environment,
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_is_short():
    assert README.stat().st_size <= 8192


@pytest.mark.parametrize("path", TEXTS, ids=of)
def test_lines_of_prose_are_short(path: Path):
    prose = FENCE.sub("", path.read_text()).splitlines()
    assert [line for line in prose if len(line) > 120 and not line.startswith(("|", "<"))] == []


@pytest.mark.parametrize("path", PAGES, ids=of)
def test_a_page_is_one_to_three_screenfuls(path: Path):
    assert 40 <= len(path.read_text().splitlines()) <= 150


def anchors(path: Path) -> set[str]:
    """Anchors as GitHub derives them from headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", TEXTS, ids=of)
def test_links_lead_somewhere(path: Path):
    text = FENCE.sub("", path.read_text())
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|srcset|href)="([^"]+)"', text)]
    for target in targets:
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_page_and_every_example_is_linked():
    linked = {Path(target).name for path in TEXTS for target in re.findall(r"\]\(([^)#\s]+)", path.read_text())}
    assert {path.name for path in (*PAGES, *EXAMPLES)} <= linked


@pytest.mark.parametrize("path", [README, ROOT / "docs" / "pretrained.md"], ids=of)
def test_every_model_is_there_with_its_size(path: Path):
    rows = [line.split("|") for line in path.read_text().splitlines() if line.startswith("| `")]
    assert set(zoo.list_models()) <= {name for row in rows for cell in row for name in re.findall(r"`(\w+)`", cell)}
    sizes = {row[1].strip(" `"): row[2:4] for row in rows if row[2].strip().replace(",", "").isdigit()}
    assert set(zoo.list_models(pretrained=True)) <= set(sizes)
    for name, (parameters, flops) in sizes.items():
        card = zoo.get_card(name)
        assert (parameters.strip(), flops.strip()) == (f"{card.parameters:,}", f"{card.flops / 1e6:.1f}")


def commands() -> list[tuple[str, str]]:
    """All of this project's command lines in shell code blocks, each with its page."""
    found = [
        (path.stem, part)
        for path in TEXTS
        for block in blocks(path, "sh")
        for line in block.splitlines()
        for part in re.findall(r"python -m ((?:zoo|bench|export)\b[^#&;]*)", line)
    ]
    assert len(found) > 50
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("page, line", commands())
def test_commands_parse(page: str, line: str):
    program, *rest = shlex.split(re.sub(r"\$\w+", "1", line))  # for variables of the shell
    if program.startswith("zoo.publishing."):
        module = program
    elif program == "export":
        module = "export.cli"
    elif rest and rest[0] in COMMANDS[program]:
        module = f"{program}.cli.{rest.pop(0).replace('-', '_')}"
    else:
        assert program == "bench", f"there is no command {line}"
        module = "bench.cli.table"
    parser = argparse.ArgumentParser(prog=line, exit_on_error=False)
    import_module(module).add_arguments(parser)
    parser.parse_args(rest)


@pytest.mark.exhaustive
@pytest.mark.parametrize("path", PAGES, ids=of)
def test_commands_run_in_the_order_of_their_page(path: Path, tmp_path: Path):
    """All lines except those with a remark, such as that they take minutes, or need a GPU, files or other machines."""
    for line in "".join(blocks(path, "sh")).splitlines():
        if "#" not in line:
            program, module, *rest = shlex.split(line)
            assert (program, module) == ("python", "-m")
            assert execute("-m", *rest, cwd=tmp_path), line


@pytest.mark.parametrize("path", TEXTS, ids=of)
def test_commands_in_sentences_and_tables_exist(path: Path):
    for program, name in re.findall(
        r"`python -m (zoo|bench|export)(?: ([a-z][\w-]*))?", FENCE.sub("", path.read_text())
    ):
        known = {*COMMANDS[program], *(zoo.list_models() if program == "export" else ())}
        assert name in known or not name, f"{program} {name}"


def test_the_readme_s_code_runs(mnist, tmp_path: Path):
    """All Python code, in reading order."""
    pytest.importorskip("onnxruntime")
    script = tmp_path / "readme.py"
    script.write_text(
        "\n".join([*blocks(README, "python"), "print((logits.argmax(axis=1) == mnist.test.labels[:100]).mean())"])
    )
    said = execute(script, cwd=tmp_path)
    assert said.startswith("epoch 1: loss ") and re.search(r"\n99\.[45]\d%, 5\d errors of 10,000", said)
    assert float(said.splitlines()[-1]) > 0.98


@pytest.mark.parametrize("path", PAGES, ids=of)
def test_code_on_pages_names_what_exists(path: Path):
    for block in blocks(path, "python"):
        compile(block, str(path), "exec")
        for module, name in re.findall(r"\b(zoo|export)\.(\w+)\(", block):
            assert hasattr(import_module(module), name)


def test_every_example_has_its_pattern():
    assert [path.stem for path in EXAMPLES] == sorted(SAID)


@pytest.mark.parametrize("path", EXAMPLES, ids=of)
def test_examples_run(path: Path, mnist, tmp_path: Path):
    if path.stem == "export_and_run":
        pytest.importorskip("onnxruntime")
    if path.stem == "compare_machines":
        pytest.importorskip("scipy")
    assert 10 <= len(path.read_text().splitlines()) <= 40
    assert re.search(SAID[path.stem], execute(path, cwd=tmp_path))
