"""JUnit XML: a suite for each file, a failure for each finding, an error for each problem."""

from __future__ import annotations

from itertools import groupby
from xml.etree import ElementTree

from safeboundary_lint.core.finding import Finding, Problem, RunReport
from safeboundary_lint.core.regex import Regex

_NOT_XML = Regex("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(run: RunReport) -> str:
    """One document. A clean run has one passing case, because readers take a report without cases for a broken one."""
    root = ElementTree.Element("testsuites", name="safeboundary-lint")
    cases = sorted(
        [*((one.path, 0, one) for one in run.problems), *((one.path, 1, one) for one in run.findings)], key=lambda case: case[:2]
    )
    for path, several in groupby(cases, key=lambda case: case[0]):
        suite = ElementTree.SubElement(root, "testsuite", name=_text(path))
        for _, _, one in several:
            if isinstance(one, Problem):
                _error(suite, one)
            else:
                _failure(suite, one)
        _count(suite, [suite])
    if not cases:
        suite = ElementTree.SubElement(root, "testsuite", name="safeboundary-lint")
        ElementTree.SubElement(suite, "testcase", name="no findings", classname="safeboundary-lint")
        _count(suite, [suite])
    _count(root, list(root))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _failure(suite: ElementTree.Element, finding: Finding) -> None:
    span = finding.span
    name = f"{finding.code} {finding.name} at {span.line}:{span.column}"
    case = ElementTree.SubElement(
        suite, "testcase", name=name, classname=_text(finding.path), file=_text(finding.path), line=str(span.line)
    )
    story = [f"{step.path or finding.path}:{step.span.line}:{step.span.column}: {step.message}" for step in finding.trace]
    advice = [f"help: {finding.fix.message}"] if finding.fix else []
    place = f"{finding.path}:{span.line}:{span.column}: {finding.severity.value}: {finding.message}"
    failure = ElementTree.SubElement(case, "failure", type=finding.severity.value, message=_text(finding.message))
    failure.text = _text("\n".join([place, *story, *advice, finding.help]))


def _error(suite: ElementTree.Element, problem: Problem) -> None:
    place = {"line": str(problem.line)} if problem.line else {}
    name = f"not checked: {problem.message}"
    case = ElementTree.SubElement(
        suite, "testcase", name=_text(name), classname=_text(problem.path), file=_text(problem.path), **place
    )
    ElementTree.SubElement(case, "error", type="error", message=_text(problem.message)).text = _text(
        f"{problem.path}: {problem.message}"
    )


def _count(element: ElementTree.Element, suites: list[ElementTree.Element]) -> None:
    for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(1 for suite in suites for _ in suite.iter(tag))))


def _text(text: str) -> str:
    """Text without the characters that no XML document may contain."""
    return _NOT_XML.sub("\ufffd", text)
