"""Globs on names mean what they mean to `fnmatch`."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeboundary_lint.core import knowledge
from safeboundary_lint.core.globs import matcher

NAMES = ["", "conn", "connection", "db_conn", "_conn", "self", "*", "a", "ab", "ba", "bab", "a\nb", "CONN", "channel1"]
GLOBS = ["", "*", "**", "?", "conn", "conn*", "*conn", "*conn*", "c*n", "c?nn", "[ab]*", "*[0-9]", "*a*b*", "[", "*[", "]*"]


@pytest.mark.parametrize("glob", GLOBS)
def test_each_means_what_it_does_to_fnmatch(glob: str) -> None:
    for name in NAMES:
        assert matcher((glob,))(name) == fnmatch.fnmatchcase(name, glob), (glob, name)


@given(st.lists(st.text("ab*?[]", max_size=5), max_size=4), st.text("ab*?[]\n", max_size=6))
def test_several_mean_any_of_them(globs: list[str], name: str) -> None:
    assert matcher(tuple(globs))(name) == any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def test_those_that_ship_need_no_regular_expression() -> None:
    rows = {row for rows in knowledge.load().wild.values() for row in rows}
    globs = {glob for row in rows for glob in row.receivers}
    assert len(globs) > 50
    assert not [glob for glob in globs if set("*?[") & set(glob.removeprefix("*").removesuffix("*"))]
