"""GitLab code quality: a list of issues, told apart by their fingerprints."""

from __future__ import annotations

import hashlib
import os
import posixpath
from typing import Any

from safeboundary_lint.core.finding import Finding, Problem, RunReport, Severity
from safeboundary_lint.reports.json import document

SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.INFO: "info"}


def render(run: RunReport) -> str:
    """Problems as blockers, then all findings. No fingerprint comes twice: GitLab would show one issue of them."""
    issues = [*map(_problem, run.problems), *map(_finding, run.findings)]
    seen: dict[str, int] = {}
    for issue in issues:
        fingerprint = issue["fingerprint"]
        seen[fingerprint] = seen.get(fingerprint, 0) + 1
        if seen[fingerprint] > 1:
            issue["fingerprint"] = _digest(fingerprint, str(seen[fingerprint]))
    return document(issues)


def _finding(finding: Finding) -> dict[str, Any]:
    story = [f"{step.path or finding.path}:{step.span.line}: {step.message}" for step in finding.trace]
    advice = [finding.fix.message] if finding.fix else []
    return {
        "type": "issue",
        "check_name": f"{finding.code} {finding.name}",
        "description": finding.message,
        "content": {"body": "\n".join([*story, *advice, finding.help])},
        "fingerprint": finding.fingerprint,
        "severity": SEVERITIES[finding.severity],
        "location": {"path": _path(finding.path), "lines": {"begin": finding.span.line, "end": finding.span.end_line}},
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "type": "issue",
        "check_name": "safeboundary-lint",
        "description": problem.message,
        "fingerprint": _digest(problem.path, problem.message),
        "severity": "blocker",
        "location": {"path": _path(problem.path), "lines": {"begin": problem.line or 1}},
    }


def _path(path: str) -> str:
    """GitLab compares with the paths in the repository, which begin with no `./`."""
    return posixpath.normpath(path.replace(os.sep, "/"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
