"""``python -m zoo doctor``"""

from __future__ import annotations

import argparse


def add_arguments(_: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(_: argparse.Namespace) -> int:
    from tabulate import tabulate

    from zoo.cli import diagnosis

    diagnosis = diagnosis.examine()
    print(tabulate(diagnosis.findings, tablefmt="plain"), end="\n\n")
    for problem in diagnosis.problems:
        print(f"problem: {problem}")
    if not diagnosis.problems:
        from zoo.runtime import contexts  # needs MXNet, which may be what is wrong

        print(f"all is well: a training step of cnn7 ran on {', '.join(map(str, contexts.usable()))}")
    return 1 if diagnosis.problems else 0
