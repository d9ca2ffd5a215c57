"""The command ``python -m zoo doctor``."""

from __future__ import annotations

import argparse


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(_: argparse.Namespace) -> int:
    """Print the diagnosis; returns 1 if a network cannot be trained here."""
    from tabulate import tabulate

    from zoo.cli.diagnosis import examine

    diagnosis = examine()
    print(tabulate(diagnosis.findings, tablefmt="plain"), end="\n\n")
    for problem in diagnosis.problems:
        print(f"problem: {problem}")
    if not diagnosis.problems:
        from zoo.runtime import contexts  # needs MXNet, which may be the problem

        print(f"all is well: a training step of cnn7 ran on {', '.join(map(str, contexts.usable()))}")
    return 1 if diagnosis.problems else 0
