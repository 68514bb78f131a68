"""Where output goes: reports to standard output or files, notes and progress to standard error."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from safeboundary_lint import reports
from safeboundary_lint.config import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from safeboundary_lint.core.finding import Finding, RunReport

FOR_PEOPLE = ("text", "concise")
WIDTH = 100  # of a report that no terminal gives a width
_FORCING = ("FORCE_COLOR", "TTY_COMPATIBLE")  # make rich take a stream for a terminal
PATIENCE = 1.0  # seconds a run may take before it shows its progress


class Destination(click.ParamType):
    """`FORMAT` or `FORMAT=FILE`."""

    name = "report"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str | None]:
        """Pair of format and file; None is standard output."""
        if isinstance(value, tuple):
            return value
        form, equals, file = value.partition("=")
        if form not in reports.FORMATS:
            self.fail(f"{form!r} is no report format; use one of {', '.join(reports.FORMATS)}", param, ctx)
        if equals and not file:
            self.fail(f"{value!r} names no file: write {form}=FILE, or {form} for standard output", param, ctx)
        return form, file or None


class Notes(NamedTuple):
    """What is told on standard error besides errors."""

    quiet: bool
    verbose: bool

    def say(self, message: str) -> None:
        """A note the user should see."""
        if not self.quiet:
            click.echo(f"note: {message}", err=True)

    def detail(self, message: str) -> None:
        """A note for `--verbose`."""
        if self.verbose:
            click.echo(f"note: {message}", err=True)


def counted(count: int, one: str, several: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def console(stream: TextIO) -> Console:
    """What rich knows about a stream: colour by NO_COLOR, FORCE_COLOR and the terminal, and the width."""
    from rich.console import Console

    return Console(file=stream)


def look(stream: TextIO) -> tuple[bool, int]:
    """Whether output to a stream is coloured, and the characters in a line, by the terminal or COLUMNS or else a fixed number."""
    columns = os.environ.get("COLUMNS", "")
    if not stream.isatty() and not any(os.environ.get(name) for name in _FORCING):  # as rich would say, without its import
        return False, int(columns) if columns.isdigit() else WIDTH
    terminal = console(stream)
    color = terminal.color_system is not None and not terminal.no_color
    return color, terminal.width if terminal.is_terminal or columns.isdigit() else WIDTH


def show(form: str, report: RunReport, *, error_stream: bool = False) -> None:
    """Print a report on standard output, or on standard error."""
    color, width = look(sys.stderr if error_stream else sys.stdout) if form in FOR_PEOPLE else (False, WIDTH)
    text = reports.render(form, report, color=color, width=width)
    click.echo(text, nl=bool(text) and not text.endswith("\n"), err=error_stream, color=True)


def write(file: str, text: str) -> None:
    """Write a report to a file, with the folders that lead to it. Raises ConfigError when that cannot be done."""
    try:
        os.makedirs(os.path.dirname(file) or os.curdir, exist_ok=True)
        with open(file, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
            stream.write(text if text.endswith("\n") or not text else text + "\n")
    except OSError as error:
        raise ConfigError(f"{file}: the report cannot be written: {error.strerror or error}") from None


def statistics(findings: Sequence[Finding]) -> str:
    """A line for each rule that found something, the most frequent first."""
    counts = Counter((finding.code, finding.name) for finding in findings)
    fixable = Counter(finding.code for finding in findings if finding.fix and finding.fix.edits)
    lines = []
    for (code, name), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        note = f"  ({fixable[code]} with edits)" if fixable[code] else ""
        lines.append(f"{count:>6}  {code}  {name}{note}\n")
    return "".join(lines)


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """What to call with the number of files done. Draws a bar on standard error: in a terminal, and when the run is long."""
    if quiet or not sys.stderr.isatty():
        yield lambda done: None
        return
    bar = _Bar(total)
    try:
        yield bar.advance
    finally:
        bar.stop()


class _Bar:
    """A progress bar that appears after a while. It redraws when told, not by a thread: processes are forked meanwhile."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = time.monotonic() + PATIENCE
        self._bar: Any = None

    def advance(self, done: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.1
        if self._bar is None:
            from rich import progress as rich_progress

            columns = (rich_progress.TextColumn("checking"), rich_progress.BarColumn(), rich_progress.MofNCompleteColumn())
            remaining = rich_progress.TimeRemainingColumn()
            self._bar = rich_progress.Progress(
                *columns, remaining, console=console(sys.stderr), transient=True, auto_refresh=False
            )
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        self._bar.update(self._task, completed=done)
        self._bar.refresh()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows under their keys in aligned columns; bold keys where standard output has colour."""
    keys = list(rows[0]) if rows else []
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in keys}
    bold = "\x1b[1m{}\x1b[0m" if rows and look(sys.stdout)[0] else "{}"
    lines = ["  ".join(bold.format(key) + " " * (widths[key] - len(key)) for key in keys).rstrip()]
    lines += ["  ".join(row[key].ljust(widths[key]) for key in keys).rstrip() for row in rows]
    return "\n".join(lines)
