"""One file: read, analysed, and what it was when it was read."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from typing import NamedTuple

from safeboundary_lint.core.finding import FileReport, Problem
from safeboundary_lint.files import SourceFile, Stamp, stamp_of
from safeboundary_lint.garbage import not_collected

# A file changed twice within this many nanoseconds may keep its times: two seconds, as coarse as clocks of file systems are.
_COARSE = 2_000_000_000
_INTERNAL = "internal error"


class Content(NamedTuple):
    """What a file held. `stamp` is None where it cannot tell this content from a later one."""

    source: bytes
    stamp: Stamp | None


class Outcome(NamedTuple):
    """What the analysis said about a file, with its text when there are findings to underline."""

    report: FileReport
    text: str | None = None
    stamp: Stamp | None = None
    digest: str = ""  # of the content the report is about; empty when the report would not be the same another time


def read(file: SourceFile) -> Content:
    """The content of a file. Raises OSError."""
    if file.source is not None:
        return Content(file.source, None)
    with open(file.path, "rb") as stream:
        # safeboundary: clock=advisory -- when it is wrong, content is read and compared instead of times
        now = time.time_ns()
        stamp = stamp_of(os.fstat(stream.fileno()))
        settled = max(stamp[1:3]) + _COARSE < now
        return Content(stream.read(), stamp if settled else None)


def digest_of(source: bytes) -> str:
    """A name for a content."""
    return hashlib.blake2b(source, digest_size=16).hexdigest()


def check(file: SourceFile) -> Outcome:
    """Read and analyse one file. Whatever goes wrong is a problem in its report."""
    try:
        content = read(file)
    except OSError as error:
        return Outcome(FileReport(file.path, problems=(Problem(file.path, f"cannot be read: {error.strerror or error}"),)))
    return outcome_of(content, report_of(file, content.source))


def outcome_of(content: Content, report: FileReport) -> Outcome:
    """What is to be said, and remembered, of a file with this content."""
    internal = any(problem.message.startswith(_INTERNAL) for problem in report.problems)
    return Outcome(report, text_of(report, content.source), content.stamp, "" if internal else digest_of(content.source))


def text_of(report: FileReport, source: bytes) -> str | None:
    """The text to underline findings in, if there are any."""
    if not report.findings:
        return None
    from safeboundary_lint.core.source import Source

    return Source.decode(source).text


@functools.cache
def _load() -> None:
    """What most files take."""
    from safeboundary_lint.core.late_methods import compiled_late

    with compiled_late():
        import safeboundary_lint.analyse  # noqa: F401


def report_of(file: SourceFile, source: bytes) -> FileReport:
    """The report of `file` with the content `source`: the one place where content becomes findings."""
    _load()
    from safeboundary_lint.analyse import analyse

    try:
        with not_collected():  # all there is at that time is in use
            return analyse(source, file.path, file.options)
    except (Exception, RecursionError) as error:  # a defect of ours must not take the other files down
        message = f"{_INTERNAL}: {type(error).__name__}: {str(error)[:200]}; please report it with the file"
        return FileReport(file.path, problems=(Problem(file.path, message),))
