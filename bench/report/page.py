"""The page itself: sections as one self-contained HTML file."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from bench.report import accuracy, machines, peers, revisions, roofline, scaling, selection, throughput
from bench.report.drawing import png
from bench.report.inputs import Inputs
from bench.report.parts import Plot, Section
from bench.report.themes import DARK, LIGHT
from zoo.errors import ZooError

_LONGEST = 60  # characters of a file's name, which systems limit to 255 bytes
_ROOMS = (throughput, roofline, scaling, peers, accuracy, revisions, machines)


def check() -> None:
    """Raise :class:`ZooError` if a package that pages need is missing."""
    for package in ("matplotlib", "jinja2"):
        try:
            __import__(package)
        except ImportError:
            raise ZooError(f"a report needs {package}, which is not installed: pip install '.[report]'") from None


def sections(inputs: Inputs) -> list[Section]:
    """Return the sections that there are data for, in the order of the page."""
    return [section for section in (room.section(inputs) for room in _ROOMS) if section is not None]


def pictures(shown: Sequence[Section]) -> dict[Plot, tuple[str, bytes, bytes]]:
    """Draw each plot; returns its file name without suffix, and its PNG files in light and dark."""
    found: dict[Plot, tuple[str, bytes, bytes]] = {}
    for section in shown:
        for number, group in enumerate(section.groups, 1):
            for plot in group.plots:
                words = [section.name, *([str(number)] if len(section.groups) > 1 else []), plot.title]
                name = re.sub(r"\W+", "-", " ".join(words).lower())[:_LONGEST]
                if name in (taken for taken, _, _ in found.values()):
                    name = f"{name}-{len(found) + 1}"
                found[plot] = name, png(plot, LIGHT), png(plot, DARK)
    return found


def render(shown: Sequence[Section], drawn: dict[Plot, tuple[str, bytes, bytes]], inputs: Inputs) -> str:
    """Render the page as HTML, with embedded pictures."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("bench.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    sources = {plot: (_source(light), _source(dark)) for plot, (_, light, dark) in drawn.items()}
    return environment.get_template("page.html").render(sections=shown, sources=sources, lead=_lead(inputs))


def _source(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def _lead(inputs: Inputs) -> str:
    """Say where and when everything was measured; this is not known for training runs."""
    environments = [run.environment for run in inputs.runs] + [peers.environment for peers in inputs.peers]
    days = sorted({environment["date"][:10] for environment in environments})
    machines = "; ".join(dict.fromkeys(map(selection.machine, environments)))
    return f"{machines}. Measured on {' to '.join(dict.fromkeys((days[0], days[-1])))}." if environments else ""
