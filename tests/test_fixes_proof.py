"""The proof against an oracle: in place of an expression, text may stand only if it means the same in parentheses."""

from __future__ import annotations

import ast
import functools
import warnings
from pathlib import Path

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeboundary_lint.core.source import Source
from safeboundary_lint.core.syntax import Unparsable
from safeboundary_lint.fixes.proof import Parsed, same_outside
from safeboundary_lint.fixes.splice import Patch, Splice

CODE = sorted((Path(__file__).parent.parent / "examples").rglob("*.py"))
TEXTS = [
    "x", "x.y", "f(x)", "x[0]", "'s'", "(x)", "[x, y]", "{**x}", "x + y", "x ** 2", "-x", "x | y", "not x", "x or y", "x and y",
    "x < y", "x in y", "x == y == z", "x if y else z", "lambda: 0", "x := 1", "await x", "x for x in y", "x); (y", "x # c\n",
    "x\n", "x;y", "x = y", "'", '"""', "", " x ", "x, *y",
]  # fmt: skip
_SEQUENCES = ("x, *y", "")  # one item more or less is a change inside the splice, and allowed


@functools.cache
def parsed(path: Path) -> tuple[Parsed, list[tuple[int, int]]]:
    """A file and the places of its expressions."""
    whole = Parsed(Source.decode(path.read_bytes()))
    places = {(placed.start, placed.end) for placed in whole.placed.values() if isinstance(placed.node, cst.BaseExpression)}
    return whole, sorted(places)


def meaning(text: str) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.dump(ast.parse(text))
        except (SyntaxError, ValueError):
            return None


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CODE), st.integers(0, 10**6), st.sampled_from(TEXTS))
def test_what_is_accepted_means_the_same_in_parentheses(path: Path, number: int, text: str) -> None:
    old, places = parsed(path)
    if not places:
        return
    start, end = places[number % len(places)]
    splice = Splice(start, end, text)
    changed = Patch.of([splice]).apply(old.source.text)
    try:
        new = Parsed(Source(changed))
    except Unparsable:
        return
    enclosed = meaning(Patch.of([Splice(start, end, f"({text})")]).apply(old.source.text))
    if same_outside(old, new, [[splice]]) and enclosed is not None and text not in _SEQUENCES:
        assert meaning(changed) == enclosed


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_an_expression_of_the_same_strength_is_accepted_everywhere(path: Path) -> None:
    old, places = parsed(path)
    for start, end in places[::25]:
        splice = Splice(start, end, old.source.text[start:end])
        assert same_outside(old, old, [[splice]])
