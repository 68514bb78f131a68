"""Suggestions: a snippet that is shown has to be one that could be typed in as it stands."""

from __future__ import annotations

import io
import itertools
import tokenize
from collections import Counter

import pytest
from fixture_files import Fixture, fixtures, report_of

from safeboundary_lint.core.finding import Applicability, Finding, Fix
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.source import Source
from safeboundary_lint.fixes import imports
from safeboundary_lint.fixes.proof import Parsed
from safeboundary_lint.fixes.splice import Patch, Splice
from safeboundary_lint.rules import load


def findings_of(fixture: Fixture) -> list[Finding]:
    return [finding for finding in report_of(fixture).findings if finding.code == fixture.rule.code]


def typed_in(source: Source, fix: Fix) -> str:
    """The text of a file with a suggestion in it, its imports where they belong."""
    old = Parsed(source)
    splices = Patch.of(Splice.of(edit, source) for edit in fix.edits).splices
    wanted = [one for statement in fix.imports for one in imports.Wanted.each(statement)]
    obstacles = [reason for one in wanted if (reason := imports.obstacle(old, one, splices))]
    assert not obstacles, obstacles
    return Patch.of(itertools.chain(imports.merge(old, wanted, splices[0].start), splices)).apply(source.text)


def comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


@pytest.mark.parametrize("fixture", fixtures(), ids=lambda fixture: fixture.label)
def test_suggestions_can_be_typed_in(fixture: Fixture) -> None:
    source = Source.decode(fixture.path.read_bytes())
    compiled = Parsed(source).compiles
    for finding in findings_of(fixture):
        fix, place = finding.fix, f"{fixture.label}:{finding.span.line}"
        if fix is None or not fix.edits or fix.applicability is not Applicability.SUGGESTION:
            continue
        text = typed_in(source, fix)
        assert text != source.text, f"{place}: the suggestion changes nothing"
        assert Parsed(Source(text)).compiles or not compiled, f"{place}: the suggestion gives\n{text}"
        assert not comments(source.text) - comments(text), f"{place}: a comment is lost in\n{text}"


@pytest.mark.parametrize("rule", [rule for rule in load().rules if rule.status.value == "stable"], ids=lambda rule: rule.name)
def test_every_finding_of_a_stable_rule_says_what_to_do(rule: type[Rule]) -> None:
    findings = [finding for fixture in fixtures() if fixture.rule is rule for finding in findings_of(fixture)]
    assert findings
    assert [finding.span for finding in findings if not (finding.fix and finding.fix.message)] == []
