"""One line each, for editors and for grep."""

from __future__ import annotations

from safeboundary_lint.core.finding import RunReport
from safeboundary_lint.reports.screen import Paint, printable, problem_line


def render(run: RunReport, *, color: bool, width: int) -> str:
    """A line for each problem and finding. Lines are never cut, whatever the width."""
    paint = Paint(color)
    lines = [problem_line(problem, paint) for problem in run.problems]
    for finding in run.findings:
        place = f"{printable(finding.path)}:{finding.span.line}:{finding.span.column}:"
        lines.append(
            f"{paint(place, 'bold')} {paint(finding.code, finding.severity.value)} {finding.name} {printable(finding.message)}"
        )
    return "".join(line + "\n" for line in lines)
