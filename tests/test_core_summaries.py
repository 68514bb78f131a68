"""What functions do, themselves and through helpers."""

from __future__ import annotations

import libcst as cst
import pytest
from snippets import Snippet

_TEXT = """
import lib
def direct(c: lib.Channel): c.ack()
def once(c): direct(c)
def twice(c): once(c)
def thrice(c): twice(c)
def four(c): thrice(c)
def none(c): pass
def loop(c):
    loop(c)
    direct(c)
def nested(c):
    def inner(): direct(c)
class C:
    def m(self): lib.connect().channel().ack()
    def n(self): self.m()
"""


@pytest.mark.parametrize(
    ("function", "calls", "via"),
    [
        ("direct", ["c.ack()"], 0),
        ("once", ["direct(c)"], 1),
        ("twice", ["once(c)"], 2),
        ("thrice", ["twice(c)"], 3),
        ("four", [], 0),  # as deep as it looks
        ("none", [], 0),
        ("loop", ["direct(c)"], 1),
        ("nested", [], 0),
        ("n", ["self.m()"], 1),
    ],
)
def test_effects(function: str, calls: list[str], via: int) -> None:
    snippet = Snippet(_TEXT)
    found = snippet.facts.summaries.effects(snippet.function(function), "ack")
    assert [snippet.code(effect.call) for effect in found] == calls
    assert all(len(effect.via) == via for effect in found)


def test_the_order_of_questions_changes_no_answer() -> None:
    names = ["direct", "once", "twice", "thrice", "four", "loop", "n"]
    one, other = Snippet(_TEXT), Snippet(_TEXT)
    forwards = {name: len(one.facts.summaries.effects(one.function(name), "ack")) for name in names}
    backwards = {name: len(other.facts.summaries.effects(other.function(name), "ack")) for name in reversed(names)}
    assert forwards == backwards


def test_effects_of_a_part() -> None:
    snippet = Snippet("""
        import lib
        def f(c: lib.Channel, x):
            if x:
                c.ack()
                c.send(x)
            c.ack()
        """)
    branch = snippet.facts.tree.all(cst.If)[0]
    line = [snippet.facts.line(effect.call) for effect in snippet.facts.summaries.effects_in(branch, "ack")]
    assert line == [4]
    assert snippet.facts.summaries.effects_in(branch.test, "ack") == []
    assert len(snippet.facts.summaries.effects_in(branch, "ack", "publish")) == 2


@pytest.mark.parametrize(
    ("body", "always"),
    [
        ("c.ack()", True),
        ("if x: c.ack()", False),
        ("if x: c.ack()\n    else: c.ack()", True),
        ("if x: return\n    c.ack()", False),
        ("if x: raise ValueError\n    c.ack()", True),
        ("try: g()\n    finally: c.ack()", True),
        ("for y in x: c.ack()", False),
        ("g()", False),
    ],
)
def test_always(body: str, always: bool) -> None:
    snippet = Snippet(f"import lib\ndef f(c: lib.Channel, x):\n    {body}\n")
    assert snippet.facts.summaries.always(snippet.function(), "ack") is always
