"""What a run says, in the forms that people and other programs read. One file and one function for each format."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from safeboundary_lint.core.finding import RunReport


class Format(NamedTuple):
    """One way to write a report. Its `render` stands in the module of the same name."""

    summary: str
    for_people: bool = False  # has colour and a width


FORMATS: dict[str, Format] = {
    "text": Format("source, underline, trace and hints", for_people=True),
    "concise": Format("one line each", for_people=True),
    "json": Format("everything, versioned, with a schema"),
    "sarif": Format("SARIF 2.1.0, for code scanning"),
    "github": Format("annotations of GitHub Actions"),
    "gitlab": Format("GitLab code quality"),
    "junit": Format("JUnit XML, for any CI"),
}


def render(fmt: str, run: RunReport, *, color: bool = False, width: int = 100) -> str:
    """The report of `run` in a format, ending with a line end unless empty. `width` is in terminal cells.

    Raises ValueError for a format that isn't one of FORMATS.
    """
    if fmt not in FORMATS:
        raise ValueError(f"{fmt!r} is no report format; use one of {', '.join(FORMATS)}")
    module = importlib.import_module(f"{__name__}.{fmt}")
    if FORMATS[fmt].for_people:
        return module.render(run, color=color, width=width)
    return module.render(run)
