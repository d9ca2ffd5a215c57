"""Progress bars: the one place that decides whether and how they are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tqdm import tqdm


def is_watched() -> bool:
    """Whether someone sees stderr as it is written: on a terminal or in a Jupyter notebook."""
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook: Jupyter, JupyterLab, Colab, VS Code."""
    interactive = sys.modules.get("IPython")  # a kernel has imported it
    shell = interactive.get_ipython() if interactive is not None else None
    return shell is not None and "IPKernelApp" in shell.config


def progress_bar(show: bool | None = None, unit_scale: bool = True, **options: object) -> tqdm[NoReturn]:
    """A tqdm bar on stderr that vanishes at its end; ``show=None`` shows it if :func:`is_watched`.

    In a notebook it is a widget if ipywidgets is installed, and plain text otherwise. ``options`` are tqdm's own.
    """
    visible = is_watched() if show is None else show
    return _kind(visible)(disable=not visible, unit_scale=unit_scale, leave=False, dynamic_ncols=True, **options)


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line to ``file`` (default: stdout), above any progress bars."""
    from tqdm import tqdm

    with tqdm.external_write_mode(file=file):
        print(line, file=file, flush=True)


def _kind(visible: bool) -> Callable[..., tqdm[NoReturn]]:
    if visible and in_notebook():
        from tqdm import notebook

        if getattr(notebook, "IProgress", None) is not None:  # from ipywidgets
            return notebook.tqdm
    from tqdm import tqdm

    return tqdm
