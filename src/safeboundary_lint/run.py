"""Files in, one report out: in a stable order, the same wherever they are checked and whatever was remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from safeboundary_lint.core.finding import FileReport, Problem, RunReport
from safeboundary_lint.executors import Executor
from safeboundary_lint.files import SourceFile

if TYPE_CHECKING:
    from safeboundary_lint.cache import Cache

Checked = tuple[FileReport, "str | None"]  # with the text of the file when there are findings to underline
Progress = Callable[[int], None]  # told how many files are done


def check_all(
    files: Sequence[SourceFile], execute: Executor, *, cache: Cache | None = None, progress: Progress = lambda done: None
) -> list[Checked]:
    """What the analysis says about each of `files`, in their order. What `cache` remembers is not analysed again."""
    results: dict[int, Checked] = {}
    for index, file in enumerate(files):
        if cache is not None and (known := cache.recall(file)) is not None:
            results[index] = known
    if results:
        progress(len(results))
    left = [index for index in range(len(files)) if index not in results]
    for number, outcome in execute([files[index] for index in left]) if left else ():
        index = left[number]
        results[index] = outcome.report, outcome.text
        if cache is not None:
            cache.keep(files[index], outcome)
        progress(len(results))
    if cache is not None:
        cache.save()
    return [results[index] for index in range(len(files))]


def collected(checked: Iterable[Checked], problems: Iterable[Problem] = ()) -> RunReport:
    """One report of what was said about single files, and of further `problems`."""
    pairs = list(checked)
    reports = [report for report, _ in pairs]
    return RunReport(
        findings=tuple(sorted((finding for report in reports for finding in report.findings), key=lambda finding: finding.order)),
        problems=tuple(
            sorted(
                (*problems, *(problem for report in reports for problem in report.problems)),
                key=lambda problem: (problem.path, problem.line or 0, problem.message),
            )
        ),
        files=len(reports),
        suppressed=sum(report.suppressed for report in reports),
        hidden=sum(report.hidden for report in reports),
        sources={report.path: text for report, text in pairs if text is not None},
    )
