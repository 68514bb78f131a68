"""Which rules a file could concern, by its words alone."""

from __future__ import annotations

import ast
import re

import pytest
from snippets import knowledge

from safeboundary_lint.core.knowledge import Knowledge
from safeboundary_lint.core.rule import Rule
from safeboundary_lint.core.screen import Screen
from safeboundary_lint.core.shapes import Body
from safeboundary_lint.core.words import Words


def is_possible(source: str, known: Knowledge, **asked: object) -> bool:
    """True when a rule that asks this could fire."""
    rule = type("Needing", (Rule,), {"code": "SBL999", **asked})
    screen = Screen(known, [rule])
    return [one.code for one in screen.possible(screen.wanted(frozenset({"SBL999"})), Words(source))] == ["SBL999"]


@pytest.mark.parametrize(
    ("source", "kind", "possible"),
    [
        ("import lib\nlib.send(x)", "publish", True),
        ("import lib", "publish", False),
        ("lib_send(x)", "publish", False),
        ("send(x)", "publish", False),  # nothing is imported that has it
        ("from lib import send as s\ns(x)", "publish", True),
        ("from lib import say\nsay(x)", "publish", True),  # a re-export
        ("import lib\nc = lib.connect()\nc.channel().ack()", "ack", True),
        ("import lib\nclass C(lib.FastChannel):\n  def f(self): self.ack()", "ack", True),
        ("import lib\nlib.subscribe(lambda c, m: c.ack())", "ack", True),
        ("import lib\nevent_bus.shout()", "publish", True),
        ("event_bus.shout()", "publish", False),  # the row asks for the import
        ("import lib\ngetattr(lib, verb)(x)", "publish.send", True),  # what `send` belongs to
        ("getattr(lib, verb)(x)", "publish.send", False),
        ("# shout", "=shout", True),
        ("", "=shout", False),
    ],
)
def test_a_kind_can_be_met(source: str, kind: str, possible: bool) -> None:
    assert is_possible(source, knowledge(), needs=((kind,),)) is possible


@pytest.mark.parametrize(
    ("source", "need", "possible"),
    [
        ("import lib\nlib.keep(k)", "shared-claim:lasting", True),
        ("import lib\nlib.lend(k)", "shared-claim:lasting", False),
        ("import lib\nlib.lend(k)", "shared-claim", True),
        ("import lib\nlib.put(k, unless_there=True)", "shared-write#only_new", True),
        ("import lib\nlib.put(k)", "shared-write#only_new", False),
    ],
)
def test_a_need_may_be_about_a_fact_of_the_rows(source: str, need: str, possible: bool) -> None:
    claims = [{"names": ["lib.keep"], "lasting": True}, {"names": ["lib.lend"], "lasting": False}]
    known = knowledge({"shared-claim": claims, "shared-write": [{"names": ["lib.put"], "only_new": ["unless_there"]}]})
    assert is_possible(source, known, needs=((need,),)) is possible


def test_each_need_must_be_met_by_one_of_its_kinds() -> None:
    needs = (("ack", "publish"), ("wall-clock",))
    assert is_possible("import lib\nlib.send(lib.wall())", knowledge(), needs=needs)
    assert not is_possible("import lib\nlib.send(x)", knowledge(), needs=needs)
    assert not is_possible("import lib\nlib.wall()", knowledge(), needs=needs)


def test_words() -> None:
    assert Words("a.b_1(\"c d\") # é2 3x").all == {"a", "b_1", "c", "d", "é2", "3x"}


PATTERNS = ("id", "s3$", "key", "^try", "tokens?", "retr(y|ies)", "(?:new|fresh)_(?:id|key)$", "a|seq", "[0-9]+_no")
WORDS = "id idle s3 S3_x KEY monkeys trying retry re_try retries Token new_id renewed fresh_keys b sequel 404_no 404 40404".split()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_find_in_words_what_they_find_in_each(pattern: str) -> None:
    needs = tuple(f"%{one}" for one in PATTERNS), (f"%{pattern}",)
    for word in WORDS:
        assert is_possible(f"{word} x", knowledge(), needs=needs) is bool(re.search(pattern, word, re.IGNORECASE)), word


@pytest.mark.parametrize(
    ("source", "builtin"),
    [
        ("x = set(y)  # a set of them, if it is set to any", True),
        ("x.set = 1", True),
        ("x = set()  # if it is set, nothing\n'''a set in which'''", True),
        ("x = set()\nset = store.set", False),
        ("set += 1", False),
        ("from store import set\nset(1)", False),
        ("def f(set, x): return set(x)", False),
        ("for set in x: set(1)", False),
        ("def set(x): pass", False),
        ("with store as set: set(1)", False),
    ],
)
def test_a_name_that_is_bound_nowhere_is_built_in(source: str, builtin: bool) -> None:
    assert Words(source).only_calls("set") is builtin


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("x.id", False),
        ("x. \\\n id", False),
        ("f(id=1)", False),
        ("x['id']", False),
        ("id = 1", False),
        ("id(x)", True),
        ("f(id == 1)", True),
        ("f'{id=}'", True),
        ("x = id", True),
        ("ids, idx, aid, _id = x", False),
        ("x = '.' if id else 1", True),
    ],
)
def test_names_that_are_read(source: str, read: bool) -> None:
    words = Words(source, Body(ast.parse(source).body))
    assert words.reads("id") is read is ("id" in words.read)
