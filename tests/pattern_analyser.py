"""An analyser for the tests of fixing: findings where a pattern matches, with the fix the test wants to see applied."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from safeboundary_lint.core.finding import Applicability, Confidence, Edit, FileReport, Finding, Fix, Severity, Span
from safeboundary_lint.core.source import Source


@dataclass(frozen=True)
class Pattern:
    """Report each match of `pattern` under `code`; the fix puts `replacement` for the group "edit" or the whole match."""

    code: str
    pattern: str
    replacement: str | None = None
    imports: tuple[str, ...] = ()
    applicability: Applicability = Applicability.SAFE


def span_of(source: Source, start: int, end: int) -> Span:
    """The span between two offsets."""
    return Span(*source.place(start), *source.place(end))


def found(code: str, span: Span, fix: Fix | None) -> Finding:
    """A finding of the file x.py."""
    return Finding(code, code.lower(), "found", "x.py", span, "", Severity.WARNING, Confidence.HIGH, fix=fix)


def analyser(*patterns: Pattern) -> Callable[[bytes], FileReport]:
    """What `fix_file` calls to see the findings of a version of the file."""

    def analyse(data: bytes) -> FileReport:
        source = Source.decode(data)
        findings = []
        for one in patterns:
            for match in re.finditer(one.pattern, source.text):
                fix = None
                if one.replacement is not None:
                    group = "edit" if "edit" in match.re.groupindex else 0
                    edit = Edit(span_of(source, *match.span(group)), match.expand(one.replacement))
                    fix = Fix(one.applicability, "as the test says", (edit,), one.imports)
                findings.append(found(one.code, span_of(source, *match.span()), fix))
        return FileReport("x.py", tuple(sorted(findings, key=lambda finding: finding.order)))

    return analyse
