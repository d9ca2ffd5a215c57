"""``python -m zoo setup``"""

from __future__ import annotations

import argparse

from zoo import environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    if arguments.unhook:
        removed = environment.remove_hook()
        print("'import mxnet' is MXNet's own affair again" if removed else "there was no hook to remove")
        return 0
    present = environment.libraries.mxnet_distribution()
    if arguments.wheel is None and present is not None:
        print(f"{present} is installed already")
    else:
        choice = environment.Choice(arguments.wheel, "as asked for") if arguments.wheel else environment.choose()
        new = environment.install(choice.extra)
        name = f"{environment.WHEELS[choice.extra]} {environment.VERSION}"
        print(f"{name} is {'now' if new else 'already'} installed: {choice.reason}")
    if arguments.hook:
        print(f"'import mxnet' works in every program of this environment, by {environment.install_hook()}")
    return 0
