"""Workflow commands of GitHub Actions, which the runner turns into annotations."""

from __future__ import annotations

from collections import Counter

from safeboundary_lint.core.finding import Finding, Problem, RunReport, Severity
from safeboundary_lint.core.regex import Regex

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_NO_TEXT = Regex("[\ud800-\udfff]")  # bytes of a path that can't be printed
SHOWN = 10  # annotations of each kind that GitHub shows for a step; it drops the others without a word


def render(run: RunReport) -> str:
    """Problems first, then findings, the worst first, as many as GitHub shows, and a notice of how many there are besides."""
    annotations = [_problem(problem) for problem in run.problems]
    annotations += [
        _finding(finding) for finding in sorted(run.findings, key=lambda one: (one.severity.rank, one.confidence.rank, one.order))
    ]
    shown, left = _capped(annotations, SHOWN)
    if left:  # the closing notice takes one of the places
        shown, left = _capped(annotations, SHOWN - 1)
        kinds = ", ".join(f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in sorted(left.items()))
        text = f"{kinds} more are not annotated: GitHub shows {SHOWN} of a kind for each step. Other reports list them all."
        shown.append(("notice", f"::notice title=safeboundary-lint::{_data(text)}"))
    return "".join(line + "\n" for _, line in shown)


def _capped(annotations: list[tuple[str, str]], notices: int) -> tuple[list[tuple[str, str]], Counter[str]]:
    """The first of each kind, and how many are left of each."""
    places = {"error": SHOWN, "warning": SHOWN, "notice": notices}
    shown, seen, left = [], Counter[str](), Counter[str]()
    for kind, line in annotations:
        seen[kind] += 1
        if seen[kind] <= places[kind]:
            shown.append((kind, line))
        else:
            left[kind] += 1
    return shown, left


def _finding(finding: Finding) -> tuple[str, str]:
    kind, span = COMMANDS[finding.severity], finding.span
    place = {"file": finding.path, "line": span.line, "endLine": span.end_line}
    if span.line == span.end_line:  # the runner refuses columns of a range over several lines
        place |= {"col": span.column, "endColumn": span.end_column}
    story = [f"{step.path or finding.path}:{step.span.line}: {step.message}" for step in finding.trace]
    advice = [f"help: {finding.fix.message}"] if finding.fix else []
    return kind, _command(
        kind, place | {"title": f"{finding.code} {finding.name}"}, "\n".join([finding.message, *story, *advice])
    )


def _problem(problem: Problem) -> tuple[str, str]:
    place = {"file": problem.path} | ({"line": problem.line} if problem.line else {})
    return "error", _command("error", place | {"title": "safeboundary-lint"}, problem.message)


def _command(kind: str, properties: dict[str, object], text: str) -> str:
    return f"::{kind} {','.join(f'{key}={_property(str(value))}' for key, value in properties.items())}::{_data(text)}"


def _data(text: str) -> str:
    text = _NO_TEXT.sub("\ufffd", text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
