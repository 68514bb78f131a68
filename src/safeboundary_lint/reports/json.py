"""The JSON report: stable, versioned, described by `schema/report-v1.json`."""

from __future__ import annotations

import json
from typing import Any

from safeboundary_lint import __version__
from safeboundary_lint.core.finding import Edit, Finding, Fix, RunReport
from safeboundary_lint.core.regex import Regex

VERSION = 1
_NOT_ASCII = Regex("[^\x00-\x7f]")


def render(run: RunReport) -> str:
    """Everything the run says. Lines and columns are 1-based, columns count characters, ends are exclusive."""
    report = {
        "version": VERSION,
        "tool": {"name": "safeboundary-lint", "version": __version__},
        "findings": [_finding(finding) for finding in run.findings],
        "errors": [{"path": problem.path, "line": problem.line, "message": problem.message} for problem in run.problems],
        "summary": {
            "files": run.files,
            "findings": len(run.findings),
            "suppressed": run.suppressed,
            "baselined": run.baselined,
            "hidden": run.hidden,
        },
    }
    return document(report)


def document(value: object) -> str:
    """JSON in ASCII. Bytes of a path that are no text become U+FFFD: readers refuse the half of a surrogate pair."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return _NOT_ASCII.sub(lambda found: "\\ufffd" if "\ud800" <= found[0] <= "\udfff" else json.dumps(found[0])[1:-1], text)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "message": finding.message,
        "path": finding.path,
        "line": finding.span.line,
        "column": finding.span.column,
        "end_line": finding.span.end_line,
        "end_column": finding.span.end_column,
        "symbol": finding.symbol,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "fingerprint": finding.fingerprint,
        "trace": [
            {"path": step.path or finding.path, "line": step.span.line, "column": step.span.column, "message": step.message}
            for step in finding.trace
        ],
        "fix": _fix(finding.fix) if finding.fix else None,
        "help": finding.help,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "edits": [_edit(edit) for edit in fix.edits],
        "imports": list(fix.imports),
    }


def _edit(edit: Edit) -> dict[str, Any]:
    span = edit.span
    return {"line": span.line, "column": span.column, "end_line": span.end_line, "end_column": span.end_column, "text": edit.text}
