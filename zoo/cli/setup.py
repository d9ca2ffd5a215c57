"""The command ``python -m zoo setup``."""

from __future__ import annotations

import argparse

from zoo.errors import ZooError
from zoo.installation import environment
from zoo.runtime import libraries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--wheel", choices=list(environment.WHEELS),
        help="install this one, and uninstall another (default: the one that is there, or what suits this machine)",
    )  # fmt: skip
    parser.add_argument(
        "--hook", action="store_true",
        help="also make a bare 'import mxnet' work in every program of this environment",
    )  # fmt: skip
    parser.add_argument("--unhook", action="store_true", help="undo --hook, and do nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Install the wheel that suits this machine, and the hook if asked; print what was done and why."""
    if arguments.unhook:
        if arguments.hook or arguments.wheel:
            raise ZooError("--unhook does nothing else: leave out --hook and --wheel")
        removed = environment.remove_hook()
        print("removed the import hook" if removed else "there was no import hook to remove")
        return 0
    present = libraries.mxnet_distribution()
    wheels = environment.WHEELS.items()
    kept = next((extra for extra, name in wheels if present == f"{name} {environment.VERSION}"), None)
    wanted = arguments.wheel or kept
    choice = environment.Choice(wanted, "") if wanted else environment.choose()
    new = environment.install(choice.extra)
    name = f"{environment.WHEELS[choice.extra]} {environment.VERSION}"
    device = "the CPU" if choice.extra == "cpu" else "GPUs"
    because = f" ({choice.reason})" if choice.reason else ""
    print(f"{name} for {device} is {'now' if new else 'already'} installed{because}")
    if arguments.hook:
        print(f"'import mxnet' works in every program of this environment, by {environment.install_hook()}")
    return 0
