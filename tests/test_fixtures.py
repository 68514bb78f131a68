"""Every fixture: what its rule says is what its comments expect; comments silence it; its fixes give its golden file."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from fixture_files import FIXTURES, Expectation, Fixture, FixtureError, fixtures, options_for, report_of

from safeboundary_lint import fixes
from safeboundary_lint.analyse import analyse
from safeboundary_lint.core.finding import Applicability, FileReport, Finding
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.rules import load

APPLIED = (Applicability.SAFE, Applicability.UNSAFE)
RULES = load().rules

each_fixture = pytest.mark.parametrize("fixture", fixtures(), ids=lambda fixture: fixture.label)
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def own_findings(fixture: Fixture, report: FileReport) -> list[Finding]:
    assert not report.problems, f"{fixture.label}: {report.problems}"
    return [finding for finding in report.findings if finding.code == fixture.rule.code]


def fixable(fixture: Fixture, report: FileReport) -> list[Finding]:
    return [one for one in own_findings(fixture, report) if one.fix and one.fix.edits and one.fix.applicability in APPLIED]


def unmet(expected: list[Expectation], findings: list[Finding]) -> tuple[list[Expectation], list[Finding]]:
    """Expectations that no finding meets and findings that no expectation wants, one for one; those with a column choose first."""
    left, lacking = list(findings), []
    for one in sorted(expected, key=lambda one: one.column is None):
        fitting = [f for f in left if (f.code, f.span.line) == (one.code, one.line) and one.column in (None, f.span.column)]
        if fitting:
            left.remove(fitting[0])
        else:
            lacking.append(one)
    return lacking, left


@each_fixture
def test_findings_are_the_expected_ones(fixture: Fixture) -> None:
    findings = own_findings(fixture, report_of(fixture))
    lacking, surplus = unmet([one for one in fixture.expectations if one.reported], findings)
    said: list[str] = []
    for one in lacking:
        if one.word == "false-alarm":
            said.append(f"{fixture.label}:{one.line}: the false alarm {one.code} is gone: turn `# false-alarm:` into `# ok:`")
        else:
            said.append(f"{fixture.label}:{one.line}: {one.code} is expected{f' in column {one.column}' if one.column else ''} and not reported")
    still_missed, surplus = unmet([one for one in fixture.expectations if not one.reported], surplus)
    for one in fixture.expectations:
        if not one.reported and one not in still_missed:
            said.append(f"{fixture.label}:{one.line}: {one.code} is found now: turn `# missed:` into `# error:`")
    said += [f"{fixture.label}:{one.span.line}:{one.span.column}: unexpected {one.code} {one.message}" for one in surplus]
    assert not said, "\n".join(said)


@each_fixture
def test_expectations_name_the_rule_of_the_folder(fixture: Fixture) -> None:
    assert {one.code for one in fixture.expectations} <= {fixture.rule.code}
    assert fixture.path.parent.parent.name == fixture.rule.family()


@each_fixture
@pytest.mark.parametrize("form", ["# safeboundary: ignore[{}] -- test", "# noqa: {}"])
def test_comments_silence_it(fixture: Fixture, form: str) -> None:
    answered = fixture.answered(form.format(fixture.rule.code))
    report = analyse(answered.encode(), fixture.label, options_for(fixture.rule))
    assert own_findings(fixture, report) == []


@each_fixture
def test_findings_tell_a_whole_story(fixture: Fixture) -> None:
    lines = len(fixture.text.split("\n"))
    for finding in own_findings(fixture, report_of(fixture)):
        place = f"{fixture.label}:{finding.span.line}"
        assert finding.name == fixture.rule.name
        assert finding.message and "\n" not in finding.message and not finding.message.endswith("."), f"{place}: {finding.message!r}"
        for span in (finding.span, *(step.span for step in finding.trace if not step.path)):
            assert (1, 1) <= (span.line, span.column) < (span.end_line, span.end_column) and span.end_line <= lines, f"{place}: {span}"
        assert all(step.message for step in finding.trace), f"{place}: a step of the trace says nothing"
        assert finding.fix and finding.fix.message, f"{place}: no fix or suggestion says what to do instead"


@each_fixture
def test_fixes_give_the_golden_text(fixture: Fixture, write_golden: bool) -> None:
    if not fixable(fixture, report_of(fixture)):
        assert not fixture.golden.exists(), f"{fixture.golden.name} stands beside a fixture in which nothing can be fixed: remove it"
        return
    options = options_for(fixture.rule)

    def check(source: bytes) -> FileReport:
        return analyse(source, fixture.label, options)

    before = fixture.path.read_bytes()
    outcome = fixes.fix_file(fixture.label, before, check, unsafe=True)
    if write_golden:
        fixture.golden.write_bytes(outcome.new_source)
    assert fixture.golden.exists(), f"no {fixture.golden.name}: write it by `pytest tests/test_fixtures.py --write-golden` and read it"
    golden = fixture.golden.read_bytes()
    assert outcome.new_source.decode() == golden.decode()
    ast.parse(golden)
    assert fixes.fix_file(fixture.label, golden, check, unsafe=True).new_source == golden
    after = check(golden)
    assert fixable(fixture, after) == []
    count_before, count_after = (Counter(one.code for one in report.findings) for report in (check(before), after))
    assert count_after <= count_before


@each_rule
def test_rule_has_fixtures_enough(rule: type[Rule]) -> None:
    own = [fixture for fixture in fixtures() if fixture.path.parent.name == rule.name]
    firing = sum(one.word == "error" for fixture in own for one in fixture.expectations)
    silent = sum(len(fixture.silent_places) for fixture in own)
    folder = FIXTURES / rule.family() / rule.name
    assert firing >= 5 and silent >= 8, f"{folder}: {firing} firing places of at least 5, {silent} silent ones of at least 8"


@each_rule
def test_fixable_is_what_its_fixtures_show(rule: type[Rule]) -> None:
    own = [fixture for fixture in fixtures() if fixture.path.parent.name == rule.name]
    shown = {one.fix.applicability for fixture in own for one in fixable(fixture, report_of(fixture)) if one.fix}
    assert rule.fixable == next((kind for kind in APPLIED if kind in shown), None)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("f()  # error: ack comes first", "write the codes"),
        ("f()  # error:", "needs to say"),
        ("f()  # missed: SBL301", "tell behind the code"),
        ("f()  # ok:", "needs to say"),
    ],
)
def test_unclear_marker_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "service.py"
    path.write_text(f"import queue\n{line}\n", encoding="utf-8")
    with pytest.raises(FixtureError, match=f"service.py:2: .*{problem}"):
        list(Fixture(path).expectations + Fixture(path).silent_places)


def test_marker_behind_a_long_string_means_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "query.py"
    path.write_text('run("""\nselect 1\n""")  # error: SBL104@5\n', encoding="utf-8")
    [expectation] = Fixture(path).expectations
    assert (expectation.line, expectation.column, expectation.marker) == (1, 5, (3, 6))
