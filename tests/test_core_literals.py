"""What every match of a pattern contains, and words that are found by it."""

from __future__ import annotations

import re

import pytest
from fixture_files import FIXTURES

from safeboundary_lint import rules
from safeboundary_lint.core.literals import alternatives, literals
from safeboundary_lint.core.words import WORD


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("retry", {"retry"}),
        ("retry|tries$", {"retry", "tries"}),
        ("(retry|tries)_?count", {"count"}),
        ("^_*(?:mac|hmac)$", {"mac", "hmac"}),
        ("(?:lock)+ed?", {"lock"}),
        ("(?-i:[bc]Lock)", {"lock"}),
        (r"lock(?<!clock)", {"lock"}),
        (r"\w+|retry", None),
        ("(retry)?", None),
        (r"\w*", None),
    ],
)
def test_the_texts_of_which_each_match_has_one(pattern: str, expected: set[str] | None) -> None:
    assert literals(pattern) == expected


def test_no_match_of_a_rules_pattern_is_without() -> None:
    words = {word.lower() for path in FIXTURES.rglob("*.py") for word in WORD.findall(path.read_text(encoding="utf-8"))}
    needs = {need for rule in rules.load().rules for group in (*rule.needs, rule.beside) for need in group if isinstance(need, str)}
    patterns = [need[1:] for need in needs if need.startswith("%")]
    assert patterns
    for pattern in patterns:
        texts, search = literals(pattern), re.compile(pattern, re.IGNORECASE).search
        assert texts is None or all(any(text in word for text in texts) for word in words if search(word)), pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("retry", ["retry"]),
        ("retry|tries$", ["retry", "tries$"]),
        ("(retry|tries)_?count|^n$", ["(retry|tries)_?count", "^n$"]),
        (r"a\||\(b|[|(]c|[]|]d|[^]|]e", [r"a\|", r"\(b", "[|(]c", "[]|]d", "[^]|]e"]),
        ("(?:a|(b|c))|d", ["(?:a|(b|c))", "d"]),
    ],
)
def test_alternatives_are_what_stands_outside_of_parentheses(pattern: str, expected: list[str]) -> None:
    assert alternatives(pattern) == expected


def test_a_rules_pattern_finds_what_one_of_its_alternatives_finds() -> None:
    words = {word for path in FIXTURES.rglob("*.py") for word in WORD.findall(path.read_text(encoding="utf-8"))}
    needs = {need for rule in rules.load().rules for group in (*rule.needs, rule.beside) for need in group if isinstance(need, str)}
    for pattern in (need[1:] for need in needs if need.startswith(("%", "$"))):
        whole, parts = re.compile(pattern, re.IGNORECASE).search, [re.compile(one, re.IGNORECASE).search for one in alternatives(pattern)]
        assert all(bool(whole(word)) == any(part(word) for part in parts) for word in words), pattern
