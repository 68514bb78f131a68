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


def suggested() -> list[tuple[Fixture, Finding]]:
    found = [(fixture, finding) for fixture in fixtures() for finding in findings_of(fixture)]
    return [one for one in found if one[1].fix and one[1].fix.edits and one[1].fix.applicability is Applicability.SUGGESTION]


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


@pytest.mark.parametrize(
    ("fixture", "finding"), suggested(), ids=lambda one: one.label if isinstance(one, Fixture) else f"line-{one.span.line}"
)
def test_suggestion_can_be_typed_in(fixture: Fixture, finding: Finding) -> None:
    assert finding.fix is not None
    source = Source.decode(fixture.path.read_bytes())
    text = typed_in(source, finding.fix)
    assert text != source.text
    new = Parsed(Source(text))
    assert new.compiles or not Parsed(source).compiles, text
    assert not comments(source.text) - comments(text), "a comment is lost"


@pytest.mark.parametrize("rule", [rule for rule in load().rules if rule.status.value == "stable"], ids=lambda rule: rule.name)
def test_every_finding_of_a_stable_rule_says_what_to_do(rule: type[Rule]) -> None:
    findings = [finding for fixture in fixtures() if fixture.rule is rule for finding in findings_of(fixture)]
    assert findings
    assert [finding.span for finding in findings if not (finding.fix and finding.fix.message)] == []
