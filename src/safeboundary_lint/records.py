"""Reports as plain lists for the cache, and back. What has not the shape it should have is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safeboundary_lint.core.finding import Applicability, Confidence, Edit, FileReport, Finding, Fix, Problem, Severity, Span, Step

Record = list[Any]


def record_of(report: FileReport) -> Record | None:
    """A report without its path; None for one that says nothing."""
    if not (report.findings or report.problems or report.suppressed or report.hidden):
        return None
    findings = [
        [
            one.code,
            one.name,
            one.message,
            _numbers(one.span),
            one.symbol,
            one.severity.value,
            one.confidence.value,
            [[_numbers(step.span), step.message, step.path] for step in one.trace],
            _fix_record(one.fix),
            one.fingerprint,
        ]
        for one in report.findings
    ]
    # A problem is about the file itself and told under its path.
    return [findings, [[problem.message, problem.line] for problem in report.problems], report.suppressed, report.hidden]


def report_of(path: str, record: Sequence[Any]) -> FileReport:
    """The report of the file at `path`. Raises ValueError or TypeError for what is no record."""
    findings, problems, suppressed, hidden = record
    return FileReport(
        path,
        tuple(_finding(path, *one) for one in findings),
        tuple(Problem(path, _text(message), None if line is None else _number(line)) for message, line in problems),
        _number(suppressed),
        _number(hidden),
    )


def _finding(
    path: str,
    code: object,
    name: object,
    message: object,
    span: Sequence[object],
    symbol: object,
    severity: object,
    confidence: object,
    trace: Sequence[Sequence[Any]],
    fix: Sequence[Any] | None,
    fingerprint: object,
) -> Finding:
    return Finding(
        _text(code),
        _text(name),
        _text(message),
        path,
        _span(span),
        _text(symbol),
        Severity(severity),
        Confidence(confidence),
        tuple(Step(_span(place), _text(said), _text(elsewhere)) for place, said, elsewhere in trace),
        None if fix is None else _fix(*fix),
        _text(fingerprint),
    )


def _fix_record(fix: Fix | None) -> Record | None:
    if fix is None:
        return None
    return [fix.applicability.value, fix.message, [[_numbers(edit.span), edit.text] for edit in fix.edits], list(fix.imports)]


def _fix(applicability: object, message: object, edits: Sequence[Sequence[Any]], imports: Sequence[object]) -> Fix:
    changes = tuple(Edit(_span(span), _text(text)) for span, text in edits)
    return Fix(Applicability(applicability), _text(message), changes, tuple(map(_text, imports)))


def _numbers(span: Span) -> list[int]:
    return [span.line, span.column, span.end_line, span.end_column]


def _span(numbers: Sequence[object]) -> Span:
    line, column, end_line, end_column = map(_number, numbers)
    return Span(line, column, end_line, end_column)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no number")
    return value
