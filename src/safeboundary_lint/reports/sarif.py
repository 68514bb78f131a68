"""SARIF 2.1.0, for code scanning: rules with their pages, results with their story, fixes, and what went wrong."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from safeboundary_lint import __version__, rules
from safeboundary_lint.core.finding import Confidence, Edit, Finding, Fix, Problem, RunReport, Severity, Span, Step
from safeboundary_lint.core.rule import Status
from safeboundary_lint.reports.json import document

if TYPE_CHECKING:
    from safeboundary_lint.core.rule import Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://safeboundary-lint.readthedocs.io/"
ROOT = "SRCROOT"  # stands for the folder the run was started in, which the reader of the file knows
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
RANKS = {Confidence.HIGH: 90.0, Confidence.MEDIUM: 60.0, Confidence.LOW: 30.0}
# What GitHub calls the severity of an alert that is no vulnerability.
PROBLEM_SEVERITIES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "recommendation"}

Json = dict[str, Any]


def render(run: RunReport) -> str:
    """One SARIF run. Fixes that need an import the file lacks are left out: a replacement alone would break the file."""
    known = {rule.code: rule for rule in rules.load().rules}
    told = sorted({finding.code for finding in run.findings})
    index = {code: position for position, code in enumerate(told)}
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "safeboundary-lint",
                        "version": __version__,
                        "semanticVersion": __version__,
                        "informationUri": HOME,
                        "rules": [_rule(known[code]) for code in told],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {ROOT: {"description": {"text": "The folder in which safeboundary-lint was started."}}},
                "invocations": [
                    {
                        "executionSuccessful": not run.problems,
                        "toolExecutionNotifications": [_notification(problem) for problem in run.problems],
                    }
                ],
                "results": [_result(finding, index[finding.code], run.sources.get(finding.path)) for finding in run.findings],
            }
        ],
    }
    return document(log)


def _rule(rule: type[Rule]) -> Json:
    page = rule.page()
    sections = {heading: text for heading, text in page.items() if heading}
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": page[""].strip()},
        "fullDescription": {"text": "\n\n".join(filter(None, (page.get("What it does"), page.get("Why it matters"))))},
        "help": {
            "text": "\n\n".join(f"{heading}\n{text}" for heading, text in sections.items()),
            "markdown": "\n\n".join(
                [f"# {rule.name} ({rule.code})", page[""], *(f"## {heading}\n\n{text}" for heading, text in sections.items())]
            ),
        },
        "helpUri": f"{HOME}rules/{rule.name}/",
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {
            "tags": ["reliability", rule.family()],
            "precision": "high" if rule.status is Status.STABLE else "medium",
            "problem.severity": PROBLEM_SEVERITIES[rule.severity],
        },
    }


def _result(finding: Finding, rule_index: int, source: str | None) -> Json:
    result: Json = {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": LEVELS[finding.severity],
        "rank": RANKS[finding.confidence],
        "message": {"text": finding.message},
        "locations": [_location(finding.path, finding.span, symbol=finding.symbol)],
        "partialFingerprints": {"safeboundaryLint/v1": finding.fingerprint},
        "properties": {"confidence": finding.confidence.value},
    }
    if finding.trace:
        story = [_step(finding, step) for step in finding.trace]
        result["relatedLocations"] = [{"id": number, **location} for number, location in enumerate(story, start=1)]
        result["codeFlows"] = [{"threadFlows": [{"locations": [{"location": location} for location in story]}]}]
    if finding.fix and finding.fix.edits and _has_imports(finding.fix, source):
        result["fixes"] = [_fix(finding.path, finding.fix)]
    return result


def _step(finding: Finding, step: Step) -> Json:
    return {**_location(step.path or finding.path, step.span), "message": {"text": step.message}}


def _location(path: str, span: Span | None, symbol: str = "") -> Json:
    location: Json = {"physicalLocation": {"artifactLocation": _artifact(path)}}
    if span:
        location["physicalLocation"]["region"] = _region(span)
    if symbol:
        location["logicalLocations"] = [{"fullyQualifiedName": symbol, "name": symbol.rpartition(".")[2]}]
    return location


def _region(span: Span) -> Json:
    return {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}


def _artifact(path: str) -> Json:
    if os.path.isabs(path):
        return {"uri": Path(path).as_uri()}
    relative = posixpath.normpath(path.replace(os.sep, "/"))
    return {"uri": quote(os.fsencode(relative), safe="/"), "uriBaseId": ROOT}


def _has_imports(fix: Fix, source: str | None) -> bool:
    lines = set((source or "").split("\n")) if fix.imports else set()
    return lines.issuperset(fix.imports)


def _fix(path: str, fix: Fix) -> Json:
    return {
        "description": {"text": fix.message},
        "artifactChanges": [{"artifactLocation": _artifact(path), "replacements": _replacements(fix.edits)}],
        "properties": {"applicability": fix.applicability.value},
    }


def _replacements(edits: Sequence[Edit]) -> list[Json]:
    return [{"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}} for edit in edits]


def _notification(problem: Problem) -> Json:
    span = Span(problem.line, 1, problem.line, 1) if problem.line else None
    location = _location(problem.path, None)
    if span:
        location["physicalLocation"]["region"] = {"startLine": span.line}
    return {"level": "error", "message": {"text": problem.message}, "locations": [location]}
