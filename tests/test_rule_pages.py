"""Every rule: its metadata is whole, its page is in order and true, and the generated documentation is current."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import textwrap
from pathlib import Path

import pytest
from fixture_files import options_for

from safeboundary_lint.analyse import analyse
from safeboundary_lint.core.finding import Finding, Severity
from safeboundary_lint.core.rule import HEADINGS, Rule, Status
from safeboundary_lint.rules import load

ROOT = Path(__file__).parent.parent
RULES = load().rules

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def code_blocks(section: str) -> list[str]:
    """The blocks of a section that are indented by four spaces."""
    blocks = re.findall(r"(?:^ {4}.*\n?|^\s*\n)+", section + "\n", re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in blocks if block.strip()]


def findings_in(rule: type[Rule], code: str) -> list[Finding]:
    report = analyse(code.encode(), f"service/{rule.name.replace('-', '_')}.py", options_for(rule))
    assert not report.problems, f"{rule.name}: {report.problems}"
    return [finding for finding in report.findings if finding.code == rule.code]


def test_there_are_rules() -> None:
    assert RULES


@each_rule
def test_metadata_is_whole(rule: type[Rule]) -> None:
    assert re.fullmatch(r"SBL\d{3}", rule.code)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name)
    assert re.fullmatch(r"\d+\.\d+", rule.since)
    assert isinstance(rule.severity, Severity) and isinstance(rule.status, Status)
    for lacking in {"code", "name", "since", "severity", "overlaps"} - vars(rule).keys():
        pytest.fail(f"{rule.name}: declare `{lacking}` in the class itself")
    assert isinstance(rule.overlaps, tuple)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*:[A-Z]+\d*", peer) for peer in rule.overlaps), rule.overlaps


@each_rule
def test_names_agree(rule: type[Rule]) -> None:
    assert Path(inspect.getfile(rule)).stem == rule.name.replace("-", "_")
    assert rule.__name__ == "".join(part.capitalize() for part in rule.name.split("-"))


def test_codes_and_names_are_unique_and_families_keep_their_hundred() -> None:
    assert len({rule.code for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    hundreds = {(rule.family(), rule.code[3]) for rule in RULES}
    assert len(hundreds) == len({family for family, _ in hundreds}) == len({hundred for _, hundred in hundreds}), hundreds


@each_rule
def test_page_has_every_heading_in_order(rule: type[Rule]) -> None:
    page = rule.page()
    assert tuple(page) == ("", *HEADINGS)
    for heading, text in page.items():
        assert text.strip(), f"{rule.name}: nothing is said under {heading or 'the summary'!r}"
    assert "\n" not in page[""] and page[""].endswith("."), f"{rule.name}: the summary is one sentence on one line"


@each_rule
def test_example_fires_and_instead_does_not(rule: type[Rule]) -> None:
    page = rule.page()
    examples, insteads = code_blocks(page["Example"]), code_blocks(page["Instead"])
    assert examples and insteads, f"{rule.name}: Example and Instead each hold code, indented by four spaces"
    for code in examples + insteads:
        ast.parse(code)
    for code in examples:
        assert findings_in(rule, code), f"{rule.name}: its Example does not fire:\n{code}"
    for code in insteads:
        assert not findings_in(rule, code), f"{rule.name}: its Instead fires:\n{code}"


def test_generated_documents_are_current() -> None:
    generated: dict[Path, str] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    folder = ROOT / "docs" / "rules"
    assert sorted(folder.glob("*.md")) == sorted(path for path in generated if path.parent == folder), "run `python docs/generate.py`"
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not current: run `python docs/generate.py`"
